// Nexmark: queries of the field over the events of a public generator, checked against published
// rows and measured beside loops written by hand.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bench/cpu_time.h"
#include "bench/nexmark/event_text.h"
#include "bench/nexmark/golden.h"
#include "bench/nexmark/hand/hand_loops.h"
#include "bench/nexmark/input.h"
#include "bench/nexmark/job_run.h"
#include "bench/nexmark/memory_run.h"
#include "bench/nexmark/options.h"
#include "bench/nexmark/report.h"
#include "engine/base/error.h"

namespace tidemill::nexmark {
namespace {

constexpr std::size_t kTextsAtOnce = std::size_t{64} << 20;

int hash_input(const Options& o) {
  const std::uint64_t hash = hash_events(o.generator, o.events);
  if (o.json) {
    std::printf("{\"events\": %lld, \"group\": %lld, \"rate\": %lld, \"hash\": \"%016llx\"}\n",
                static_cast<long long>(o.events), static_cast<long long>(o.generator.group),
                static_cast<long long>(o.generator.rate), static_cast<unsigned long long>(hash));
  } else {
    std::printf("%016llx\n", static_cast<unsigned long long>(hash));
  }
  return 0;
}

int dump_input(const Options& o) {
  std::ofstream file;
  if (o.dump_input != "-") file.open(o.dump_input, std::ios::binary | std::ios::trunc);
  std::ostream& out = o.dump_input == "-" ? std::cout : file;
  for_each_line(o.generator, o.events, [&](std::string_view line) { out << line << '\n'; });
  out.flush();
  if (!out) throw Error(ErrorCode::kIo, "the events could not be written: " + o.dump_input);
  return 0;
}

std::int64_t num_bids(const Options& o) {
  class Counter final : public EventSink {
   public:
    void take(const Person&) override {}
    void take(const Auction&) override {}
    void take(const Bid&) override { ++bids; }
    std::int64_t bids = 0;
  };
  Counter counter;
  const Generator generator(o.generator);
  TextStore texts;
  for (std::int64_t k = 0; k < o.events; ++k) {
    if (texts.bytes() > kTextsAtOnce) texts = {};
    generator.make(k, texts, counter);
  }
  return counter.bids;
}

// None: there is nothing to compare with. q12's rows depend on the clock, but each bid counts once.
std::optional<bool> is_as_published(const Query& query, const Options& o, const RunResult& run) {
  if (query.name == "q12") return run.weight == num_bids(o);
  const Golden* golden = find_golden(query.name, o.generator, o.events);
  if (golden == nullptr) return std::nullopt;
  return run.rows == golden->rows && (!golden->checksum || run.checksum == *golden->checksum);
}

// Rows and checksum; true unless they differ from the published ones.
bool verify(const Query& query, const Input& input, const Options& o) {
  Report report{.query = std::string(query.name),
                .run = run_in_memory(query, input, o, Outputs::Kind::kChecksum),
                .has_checksum = true,
                .hand_cpu_s = {},
                .is_as_published = {}};
  report.is_as_published = is_as_published(query, o, report.run);
  print_report(o, report);
  return report.is_as_published.value_or(true);
}

double run_by_hand(const HandLoop& loop, const Input& input, std::int64_t wanted_rows) {
  const double begin = process_cpu_seconds();
  const std::int64_t rows = loop.count(input.partitions()[0]);
  const double seconds = process_cpu_seconds() - begin;
  if (rows != wanted_rows)
    throw Error(ErrorCode::kInternal, std::string(loop.query) + ": the loop by hand gives " +
                                          std::to_string(rows) + " rows, the query " +
                                          std::to_string(wanted_rows));
  return seconds;
}

void measure(const Query& query, const Input& input, const Input* in_one, const Options& o) {
  const HandLoop* loop = in_one == nullptr ? nullptr : find_hand_loop(query.name);
  for (int i = 0; i < o.repeat; ++i) {
    Report report{.query = std::string(query.name),
                  .run = run_in_memory(query, input, o, Outputs::Kind::kCount),
                  .has_checksum = false,
                  .hand_cpu_s = {},
                  .is_as_published = {}};
    if (loop != nullptr) report.hand_cpu_s = run_by_hand(*loop, *in_one, report.run.rows);
    print_report(o, report);
  }
}

int run_queries_in_memory(const Options& o) {
  const Input input(o.generator, o.events, o.parallelism);
  // The loops by hand know one partition.
  std::optional<Input> other;
  if (o.hand && o.parallelism > 1) other.emplace(o.generator, o.events, 1);
  const Input* in_one = !o.hand ? nullptr : other ? &*other : &input;
  bool all_as_published = true;
  print_header(o);
  for (const std::string& name : o.queries) {
    const Query& query = *find_query(name);
    if (o.verify) {
      all_as_published &= verify(query, input, o);
    } else {
      measure(query, input, in_one, o);
    }
  }
  return all_as_published ? 0 : 1;
}

// False: rows that are only counted as they come are not all counted by this process.
bool has_counted_all(const JobRunResult& job, const Options& o, std::string_view query) {
  if (o.sink == "file" || o.sink == "kafka" || job.events == o.events) return true;
  std::fprintf(stderr,
               "%.*s: %lld of %lld events were read by this process, the others before or by "
               "nobody: its rows are not all counted; --as NAME or another --dir begins anew\n",
               static_cast<int>(query.size()), query.data(), static_cast<long long>(job.events),
               static_cast<long long>(o.events));
  return false;
}

int run_queries_as_jobs(const Options& o) {
  bool all_as_published = true;
  bool has_header = false;
  for (const std::string& name : o.queries) {
    const Query& query = *find_query(name);
    const JobRunResult job = run_as_job(query, o);
    if (job.exit_code != 0) return job.exit_code;
    if (!job.has_run) continue;
    if (!has_counted_all(job, o, name)) {
      all_as_published &= !o.verify;
      continue;
    }
    Options in_force = o;
    in_force.parallelism = job.parallelism;
    in_force.backend = job.backend;
    Report report{.query = name,
                  .run = {.rows = job.rows,
                          .checksum = job.checksum,
                          .weight = job.weight,
                          .wall_s = job.wall_s,
                          .cpu_s = job.cpu_s},
                  .has_checksum = o.verify,
                  .hand_cpu_s = {},
                  .is_as_published = {}};
    if (o.verify) report.is_as_published = is_as_published(query, o, report.run);
    all_as_published &= report.is_as_published.value_or(true);
    if (!std::exchange(has_header, true)) print_header(o);
    print_report(in_force, report);
  }
  return all_as_published ? 0 : 1;
}

int run(int argc, char** argv) {
  const std::optional<Options> options = parse_options(argc, argv);
  if (!options) return 0;
  if (options->hash_input) return hash_input(*options);
  if (!options->dump_input.empty()) return dump_input(*options);
  return options->source == "memory" ? run_queries_in_memory(*options)
                                     : run_queries_as_jobs(*options);
}

}  // namespace
}  // namespace tidemill::nexmark

int main(int argc, char** argv) {
  try {
    return tidemill::nexmark::run(argc, argv);
  } catch (const tidemill::Error& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return tidemill::exit_code(e.code());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
