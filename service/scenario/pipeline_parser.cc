#include "service/scenario/pipeline_parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>

#include "service/scenario/spelling.h"

namespace tidemill::scenario {
namespace {

// How a parameter's value is read. Duration: greater than 0.
enum class Form { kDuration, kDurationOrZero, kTime, kDurations, kCount, kFlag, kChoice };

struct Known {
  std::string_view name;
  Form form;
  bool is_required = false;
  std::vector<std::string_view> choices = {};  // words that may stand there as well
  std::int64_t most = 999'999'999;             // of a count
};

struct Kind {
  std::string_view name;
  std::vector<Known> parameters;
  bool has_aggregate = true;
  bool has_lateness = false;
  bool has_two_inputs = false;
  bool can_be_first = false;  // its rows can be the records of a second stage
};

std::vector<Known> with_emission(std::vector<Known> parameters) {
  const std::vector<Known> emission = {{"emit", Form::kChoice, false, {"close", "update"}},
                                       {"early", Form::kDuration},
                                       {"early_processing", Form::kDuration},
                                       {"changes_only", Form::kFlag}};
  parameters.insert(parameters.end(), emission.begin(), emission.end());
  return parameters;
}

const std::vector<Kind>& kinds() {
  using F = Form;
  static const std::vector<Kind> all = {
      {.name = "tumbling",
       .parameters = with_emission({{"size", F::kDuration, true}, {"offset", F::kTime}}),
       .has_lateness = true,
       .can_be_first = true},
      {.name = "sliding",
       .parameters = with_emission(
           {{"size", F::kDuration, true}, {"slide", F::kDuration, true}, {"offset", F::kTime}}),
       .has_lateness = true,
       .can_be_first = true},
      {.name = "session",
       .parameters = with_emission({{"gap", F::kDuration, true}}),
       .has_lateness = true,
       .can_be_first = true},
      {.name = "global",
       .parameters = {{"count", F::kCount}, {"every", F::kCount}},
       .can_be_first = true},
      {.name = "trailing",
       .parameters = {{"windows", F::kDurations, true},
                      {"resolution", F::kDuration, true, {"auto", "exact"}},
                      {"emit", F::kChoice, false, {"on_record", "on_watermark", "coalesced"}},
                      {"interval", F::kDuration},
                      {"empty", F::kChoice, false, {"row", "delete"}},
                      {"changes_only", F::kFlag}},
       .has_lateness = true},
      {.name = "window-join",
       .parameters = {{"size", F::kDuration, true}, {"slide", F::kDuration}, {"offset", F::kTime}},
       .has_aggregate = false,
       .has_two_inputs = true,
       .can_be_first = true},
      {.name = "interval-join",
       .parameters = {{"type", F::kChoice, false, {"inner", "left", "right", "outer"}},
                      {"lower", F::kTime, true},
                      {"upper", F::kTime, true}},
       .has_aggregate = false,
       .has_two_inputs = true,
       .can_be_first = true},
      {.name = "asof-join",
       .parameters = {{"type", F::kChoice, false, {"inner", "left"}}},
       .has_aggregate = false,
       .has_two_inputs = true,
       .can_be_first = true},
      {.name = "dedup",
       .parameters = {{"keep", F::kChoice, true, {"first", "last"}}, {"within", F::kDuration}},
       .has_aggregate = false,
       .can_be_first = true},
      {.name = "topn",
       .parameters = {{"n", F::kCount, true}, {"order", F::kChoice, false, {"desc", "asc"}}},
       .has_aggregate = false},
      {.name = "timers", .parameters = {}, .has_aggregate = false},
      {.name = "watermarks", .parameters = {}, .has_aggregate = false},
  };
  return all;
}

const std::vector<Known>& common_parameters() {
  static const std::vector<Known> all = {{"partitions", Form::kCount, false, {}, kMaxPartitions},
                                         {"disorder", Form::kDurationOrZero},
                                         {"idle", Form::kDuration, false, {"off"}},
                                         {"drift", Form::kDurationOrZero, false, {"off"}},
                                         {"parallelism", Form::kCount, false, {}, kMaxParallelism}};
  return all;
}

constexpr std::array<std::string_view, 10> kAggregates = {
    "count", "sum", "mean", "min", "max", "variance", "first", "last", "distinct", "collect"};

const Kind* find_kind(std::string_view name) {
  const auto it = std::ranges::find(kinds(), name, &Kind::name);
  return it == kinds().end() ? nullptr : &*it;
}

const Known* find_parameter(const std::vector<Known>& known, std::string_view name) {
  const auto it = std::ranges::find(known, name, &Known::name);
  return it == known.end() ? nullptr : &*it;
}

std::vector<Known> known_parameters(const Kind& kind, bool is_first) {
  std::vector<Known> known = kind.parameters;
  if (!is_first) return known;
  known.insert(known.end(), common_parameters().begin(), common_parameters().end());
  if (kind.has_two_inputs)
    std::erase_if(known, [](const Known& k) { return k.name == "partitions"; });
  if (kind.has_lateness) known.push_back({"lateness", Form::kDurationOrZero});
  return known;
}

std::optional<std::int64_t> read_count(std::string_view text) {
  if (text.empty() || text.size() > 9) return std::nullopt;
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || end != text.data() + text.size() || count <= 0) return std::nullopt;
  return count;
}

std::optional<Duration> read_duration(std::string_view text, Form form) {
  const auto time = read_time(text);
  if (!time) return std::nullopt;
  const std::int64_t least = form == Form::kTime             ? EventTime::min().ms
                             : form == Form::kDurationOrZero ? 0
                                                             : 1;
  if (time->ms < least) return std::nullopt;
  return Duration(time->ms);
}

std::optional<std::vector<Duration>> read_durations(std::string_view text) {
  std::vector<Duration> all;
  const auto parts = split_commas(text);
  if (!parts) return std::nullopt;
  for (const std::string_view part : *parts) {
    const auto duration = read_duration(part, Form::kDuration);
    if (!duration || std::ranges::find(all, *duration) != all.end()) return std::nullopt;
    all.push_back(*duration);
  }
  return all;
}

Parameter parse_parameter(const Word& word, const Known& known, std::string_view value,
                          bool has_value) {
  Parameter p;
  if (known.form == Form::kFlag) {
    if (has_value) throw Mistake(word, "takes no value: " + std::string(word.text));
    p.choice = known.name;
    return p;
  }
  if (std::ranges::find(known.choices, value) != known.choices.end()) {
    p.choice = value;
    return p;
  }
  switch (known.form) {
    case Form::kDuration:
    case Form::kDurationOrZero:
    case Form::kTime:
      if ((p.duration = read_duration(value, known.form))) return p;
      break;
    case Form::kDurations:
      if (auto all = read_durations(value)) {
        p.durations = std::move(*all);
        return p;
      }
      break;
    case Form::kCount:
      if ((p.count = read_count(value)) && *p.count <= known.most) return p;
      break;
    case Form::kFlag:
    case Form::kChoice: break;
  }
  throw Mistake(word, "not a value of " + std::string(known.name) + ": " + std::string(word.text));
}

void parse_aggregate(const Word& word, StageSpec& stage) {
  const auto it = std::ranges::find(kAggregates, word.text);
  if (it != kAggregates.end()) {
    stage.aggregate = static_cast<Aggregate>(it - kAggregates.begin());
    return;
  }
  if (word.text.starts_with("top(") && word.text.ends_with(')')) {
    if (const auto n = read_count(word.text.substr(4, word.text.size() - 5))) {
      stage.aggregate = Aggregate::kTop;
      stage.top = static_cast<std::size_t>(*n);
      return;
    }
  }
  throw Mistake(word, "unknown aggregate or parameter: " + std::string(word.text));
}

void check_stage(const Word& at, const StageSpec& stage) {
  const auto fail = [&](const std::string& what) { throw Mistake(at, what); };
  if (stage.kind == "trailing" &&
      (stage.choice("emit", "") == "coalesced") != stage.has("interval"))
    fail("interval goes with emit=coalesced, and with it only");
  if (stage.kind == "global" && stage.has("count") == stage.has("every"))
    fail("global needs one of count and every");
  if (stage.kind == "dedup" && stage.has("within") && stage.choice("keep", "") != "first")
    fail("within goes with keep=first");
  if (stage.kind == "interval-join" && *stage.duration("lower") > *stage.duration("upper"))
    fail("lower is greater than upper");
}

StageSpec parse_stage(std::span<const Word> words, bool is_first) {
  const Word& at = words.front();
  const Kind* kind = find_kind(at.text);
  if (kind == nullptr) throw Mistake(at, "unknown kind: " + std::string(at.text));
  StageSpec stage;
  stage.kind = kind->name;
  const std::vector<Known> known = known_parameters(*kind, is_first);
  for (const Word& word : words.subspan(1)) {
    const std::size_t equals = word.text.find('=');
    const bool has_value = equals != std::string_view::npos;
    const std::string name(word.text.substr(0, equals));
    const Known* parameter = find_parameter(known, name);
    if (parameter != nullptr && (has_value || parameter->form == Form::kFlag)) {
      if (stage.has(name)) throw Mistake(word, "given twice: " + name);
      stage.parameters[name] = parse_parameter(
          word, *parameter, has_value ? word.text.substr(equals + 1) : "", has_value);
    } else if (has_value) {
      throw Mistake(word, "unknown parameter of " + stage.kind + ": " + name);
    } else {
      if (stage.aggregate || !kind->has_aggregate)
        throw Mistake(word, stage.kind + " takes no further aggregate or parameter: " +
                                std::string(word.text));
      parse_aggregate(word, stage);
    }
  }
  for (const Known& parameter : known) {
    if (parameter.is_required && !stage.has(std::string(parameter.name)))
      throw Mistake(at, stage.kind + " needs the parameter: " + std::string(parameter.name));
  }
  check_stage(at, stage);
  if (kind->has_aggregate && !stage.aggregate) stage.aggregate = Aggregate::kCount;
  return stage;
}

bool gives_lists(const StageSpec& stage) {
  if (find_kind(stage.kind)->has_two_inputs) return true;
  return stage.aggregate == Aggregate::kCollect || stage.aggregate == Aggregate::kTop;
}

bool deletes_rows(const StageSpec& stage) {
  return stage.kind == "session" &&
         (stage.duration("lateness").value_or(Duration::zero()) > Duration::zero() ||
          stage.has("early") || stage.has("early_processing") ||
          stage.choice("emit", "close") == "update");
}

void check_two_stages(const std::vector<StageSpec>& stages, const Word& first, const Word& second) {
  if (!find_kind(stages[0].kind)->can_be_first || deletes_rows(stages[0]))
    throw Mistake(first, "this kind cannot be the first of two stages: " + stages[0].kind);
  if (find_kind(stages[1].kind)->has_two_inputs)
    throw Mistake(second, "the second stage has one input, this kind has two: " + stages[1].kind);
  if (gives_lists(stages[0]) && stages[1].aggregate && takes_numbers_only(*stages[1].aggregate))
    throw Mistake(
        second,
        "the aggregate of the second stage takes numbers only, not the lists of " + stages[0].kind);
}

}  // namespace

std::vector<StageSpec> parse_pipeline(std::span<const Word> words) {
  if (words.front().text != "pipeline")
    throw Mistake(words.front(),
                  "the first line is the pipeline: " + std::string(words.front().text));
  std::vector<std::span<const Word>> parts;
  std::size_t begin = 1;
  for (std::size_t end = 1; end <= words.size(); ++end) {
    if (end < words.size() && words[end].text != "|") continue;
    if (begin == end)
      throw Mistake(words[std::min(end, words.size() - 1)],
                    "a stage is missing: pipeline STAGE, or STAGE | STAGE");
    parts.push_back(words.subspan(begin, end - begin));
    begin = end + 1;
  }
  if (parts.size() > 2) throw Mistake(parts[2].front(), "a pipeline has one or two stages");
  std::vector<StageSpec> stages;
  for (std::size_t i = 0; i < parts.size(); ++i) stages.push_back(parse_stage(parts[i], i == 0));
  if (stages.size() == 2) check_two_stages(stages, parts[0].front(), parts[1].front());
  return stages;
}

std::vector<std::string> input_names(const StageSpec& first) {
  if (find_kind(first.kind)->has_two_inputs) return {"left", "right"};
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < first.count("partitions", 1); ++i)
    names.push_back("p" + std::to_string(i));
  return names;
}

bool takes_numbers_only(Aggregate aggregate) {
  switch (aggregate) {
    case Aggregate::kSum:
    case Aggregate::kMean:
    case Aggregate::kMin:
    case Aggregate::kMax:
    case Aggregate::kVariance:
    case Aggregate::kTop: return true;
    default: return false;
  }
}

bool has_two_inputs(const std::string& kind) { return find_kind(kind)->has_two_inputs; }

}  // namespace tidemill::scenario
