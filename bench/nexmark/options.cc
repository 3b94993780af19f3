#include "bench/nexmark/options.h"

#include <charconv>
#include <cstdio>
#include <functional>
#include <limits>
#include <map>
#include <string_view>

#include "app/config.h"
#include "app/version.h"
#include "bench/nexmark/queries/queries.h"
#include "engine/base/error.h"

namespace tidemill::nexmark {
namespace {

constexpr const char* kUsage = R"(usage: nexmark --query q5[,q7...]|all [FLAGS]
       nexmark --hash-input [--events N --rate R --group G]

Runs Nexmark's queries q0 to q22 and prints what they cost, one line or JSON object a run.

  --events N          events to make (1000000)
  --rate R            events a second of event time (10000)
  --group G           so many events are out of order among themselves (1)
  --base-time MS      event time of the first event (1436918400000)
  --disorder MS       watermark = greatest time - MS (what the group size needs)
  --source KIND       memory, file or kafka (memory)
  --sink KIND         count, discard, file or kafka (count)
  --backend KIND      memory or rocksdb (memory)
  --memory SIZE       state that rocksdb keeps in memory (1GiB)
  --parallelism N     worker threads (1)
  --repeat N          runs of each query (1)
  --hand              the same by a loop written by hand, beside each run
  --verify            prints rows and checksum and compares them with the published ones
  --hash-input        prints the FNV-1a 64 of the events
  --dump-input FILE   writes the events as lines of text and ends; - is stdout
  --dir DIR           where file logs and checkpoints are (data/nexmark)
  --format KIND       table or json (table)

The input is made before the clock starts. With --source file or kafka each query
is a job nexmark-qN with the flags and settings of the main job as well
(docs/operations.md), among them
  --checkpoint-interval 1s   --checkpoint-dir DIR   --as NAME   --explain   --validate
  --rate 50MB/s|20000/s      limits the source; a number alone is the generator's rate
  --set source.kafka.brokers=HOST:PORT     (127.0.0.1:9092), also the sink's
  --set source.kafka.topic=TOPIC           (nexmark-events-EVENTS-RATE-GROUP-BASE); is
                                           filled first if it is empty
  --set sinks.kafka.topic=TOPIC            (nexmark-qN-rows)
Exit codes: 0 done and, with --verify, equal; 1 failed or different; 2 wrong usage;
3 refused, because it would lose or double rows.
)";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::kConfig, what + "; --help lists the flags");
}

std::int64_t number(const std::string& flag, const std::string& text, std::int64_t min,
                    std::int64_t max) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < min || value > max)
    refuse(flag + " wants a number from " + std::to_string(min) + " to " + std::to_string(max) +
           ": " + text);
  return value;
}

std::string choice(const std::string& flag, const std::string& text,
                   const std::vector<std::string>& choices) {
  std::string list;
  for (const std::string& c : choices) {
    if (c == text) return text;
    list += (list.empty() ? "" : ", ") + c;
  }
  refuse(flag + " is none of " + list + ": " + text);
}

std::vector<std::string> query_names(const std::string& text) {
  std::vector<std::string> names;
  std::vector<std::string> known = {"all"};
  for (const Query& q : queries()) known.emplace_back(q.name);
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string name = text.substr(at, end - at);
    at = end + 1;
    if (name == "all") {
      names.insert(names.end(), known.begin() + 1, known.end());
    } else if (find_query(name) != nullptr) {
      names.push_back(name);
    } else {
      refuse("--query: there is no query " + name + "; did you mean " + nearest(name, known) + "?");
    }
  }
  return names;
}

using Take = std::function<void(const std::string& flag, const std::string& value)>;

// What a flag of this program sets in a job as well, before the environment and files.
void set_for_job(Options& o, const std::string& setting) {
  o.job_settings.emplace_back("--set");
  o.job_settings.push_back(setting);
}

// Flags with a value.
std::map<std::string, Take> valued(Options& o) {
  constexpr std::int64_t kMostEvents = 2'000'000'000;
  constexpr std::int64_t kMostMs = std::int64_t{1} << 50;
  return {
      {"--query", [&o](auto&, auto& v) { o.queries = query_names(v); }},
      {"--events", [&o](auto& f, auto& v) { o.events = number(f, v, 1, kMostEvents); }},
      {"--rate", [&o](auto& f, auto& v) { o.generator.rate = number(f, v, 1, 1'000'000'000); }},
      {"--group", [&o](auto& f, auto& v) { o.generator.group = number(f, v, 1, kMostEvents); }},
      {"--base-time",
       [&o](auto& f, auto& v) { o.generator.base_time = {number(f, v, 0, kMostMs)}; }},
      {"--disorder", [&o](auto& f, auto& v) { o.disorder = Duration(number(f, v, 0, kMostMs)); }},
      {"--source",
       [&o](auto& f, auto& v) {
         o.source = choice(f, v, {"memory", "file", "kafka"});
       }},
      {"--sink",
       [&o](auto& f, auto& v) {
         o.sink = choice(f, v, {"count", "discard", "file", "kafka"});
       }},
      {"--backend",
       [&o](auto& f, auto& v) {
         o.backend = choice(f, v, {"memory", "rocksdb"});
         set_for_job(o, "state.backend=" + v);
       }},
      {"--memory",
       [&o](auto& f, auto& v) {
         const auto bytes = parse_bytes(v);
         if (!bytes) refuse(f + " wants a size such as 256MiB: " + v);
         o.memory = *bytes;
         set_for_job(o, "memory=" + v);
       }},
      {"--parallelism",
       [&o](auto& f, auto& v) {
         o.parallelism = static_cast<int>(number(f, v, 1, 1024));
         set_for_job(o, "parallelism=" + v);
       }},
      {"--repeat", [&o](auto& f, auto& v) { o.repeat = static_cast<int>(number(f, v, 1, 1000)); }},
      {"--dump-input", [&o](auto&, auto& v) { o.dump_input = v; }},
      {"--dir", [&o](auto&, auto& v) { o.dir = v; }},
      {"--format",
       [&o](auto& f, auto& v) {
         o.json = choice(f, v, {"table", "json"}) == "json";
       }},
  };
}

std::map<std::string, bool*> switches(Options& o) {
  return {{"--verify", &o.verify}, {"--hand", &o.hand}, {"--hash-input", &o.hash_input}};
}

// A job's --rate limits its sources and names a unit of time.
bool is_rate_limit(const std::string& flag, const std::string& value) {
  return flag == "--rate" && value.ends_with("/s");
}

void check_in_memory(const Options& o, const std::vector<std::string>& flags) {
  if (o.sink == "file" || o.sink == "kafka")
    refuse("--sink " + o.sink +
           " needs --source file or kafka, whose positions a checkpoint holds");
  if (o.job_flags.empty()) return;
  const std::string flag = o.job_flags.front().substr(0, o.job_flags.front().find('='));
  if (flag == "--rate")
    refuse(o.job_flags.front() + " limits the source of a job: it needs --source file or kafka");
  refuse("unknown argument: " + o.job_flags.front() + "; did you mean " + nearest(flag, flags) +
         "? Flags of a job need --source file or kafka");
}

void check(const Options& o, const std::vector<std::string>& flags) {
  if (o.source == "memory") check_in_memory(o, flags);
  if (o.hash_input || !o.dump_input.empty()) {
    if (o.hash_input && !o.dump_input.empty())
      refuse("--hash-input and --dump-input exclude each other");
    if (!o.queries.empty())
      refuse("--hash-input and --dump-input make the events and run no --query");
    return;
  }
  if (o.queries.empty()) refuse("--query is missing: a query, some (q5,q7), or all");
  if (o.hand && (o.generator.group != 1 || o.source != "memory"))
    refuse("--hand: the loops by hand want events in order (--group 1) in memory");
  if (o.hand && o.verify) refuse("--hand measures and --verify checks: one at a time");
  if (o.repeat > 1 && o.verify) refuse("--repeat measures and --verify checks: one at a time");
  if (o.repeat > 1 && o.source != "memory")
    refuse("--repeat: a job that has finished is not run again; --as NAME does, or another --dir");
}

}  // namespace

std::optional<Options> parse_options(int argc, char** argv) {
  Options options;
  const auto with_value = valued(options);
  const auto without = switches(options);
  std::vector<std::string> all = {"--help", "--version"};
  for (const auto& [flag, _] : with_value) all.push_back(flag);
  for (const auto& [flag, _] : without) all.push_back(flag);

  const std::vector<std::string> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    const std::string flag = words[i].substr(0, equals);
    if (flag == "--help" || flag == "-h") {
      std::fputs(kUsage, stdout);
      return std::nullopt;
    }
    if (flag == "--version") {
      std::printf("nexmark %s\n", kVersionText);
      return std::nullopt;
    }
    if (const auto found = without.find(words[i]); found != without.end()) {
      *found->second = true;
      continue;
    }
    const auto found = with_value.find(flag);
    if (found == with_value.end()) {
      options.job_flags.push_back(words[i]);
      continue;
    }
    if (equals == std::string::npos && i + 1 == words.size()) refuse(flag + " wants a value");
    const std::string value =
        equals == std::string::npos ? words[++i] : words[i].substr(equals + 1);
    if (is_rate_limit(flag, value)) {
      options.job_flags.push_back(flag + "=" + value);
    } else {
      found->second(flag, value);
    }
  }
  check(options, all);
  return options;
}

}  // namespace tidemill::nexmark
