#include "service/scenario/parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "service/scenario/pipeline_parser.h"
#include "service/scenario/spelling.h"

namespace tidemill::scenario {
namespace {

constexpr std::array<std::pair<std::string_view, Verb>, 9> kVerbs = {
    {{"in", Verb::kIn},
     {"watermark", Verb::kWatermark},
     {"idle", Verb::kIdle},
     {"active", Verb::kActive},
     {"pause", Verb::kPause},
     {"resume", Verb::kResume},
     {"advance", Verb::kAdvance},
     {"restart", Verb::kRestart},
     {"end", Verb::kEnd}}};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

// Without the comment, which begins at the start of the line or behind a blank.
std::string_view without_comment(std::string_view line) {
  while (line.ends_with('\r')) line.remove_suffix(1);
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && (i == 0 || is_blank(line[i - 1]))) return line.substr(0, i);
  }
  return line;
}

std::vector<Word> split(std::string_view line, std::size_t number) {
  std::vector<Word> words;
  for (std::size_t i = 0; i < line.size();) {
    if (is_blank(line[i])) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < line.size() && !is_blank(line[end])) ++end;
    words.push_back({line.substr(i, end - i), number, i + 1});
    i = end;
  }
  return words;
}

std::vector<std::string> read_rows(std::span<const Word> words) {
  const Word& arrow = words.front();
  words = words.subspan(1);
  if (words.empty()) throw Mistake(arrow, "rows, or nothing, must follow the arrow");
  if (words.size() == 1 && words.front().text == "nothing") return {};
  std::vector<std::string> rows;
  std::vector<std::string_view> row;
  for (std::size_t i = 0; i < words.size(); ++i) {
    row.push_back(words[i].text);
    if (is_prefix(row) && i + 1 < words.size()) continue;
    auto canonical = canonical_row(row);
    if (!canonical) {
      std::string text;
      for (const std::string_view part : row) text += " " + std::string(part);
      throw Mistake(words[i + 1 - row.size()], "not a row:" + text);
    }
    rows.push_back(std::move(*canonical));
    row.clear();
  }
  return rows;
}

class StepParser {
 public:
  explicit StepParser(Scenario& scenario) : scenario_(scenario) {}

  void parse(std::span<const Word> words, std::string_view line) {
    if (words.front().text == "->") {
      if (scenario_.steps.empty())
        throw Mistake(words.front(), "there is no step above to add rows to");
      auto rows = read_rows(words);
      auto& all = scenario_.steps.back().rows;
      all.insert(all.end(), rows.begin(), rows.end());
      return;
    }
    const auto arrow = std::ranges::find(words, std::string_view("->"), &Word::text);
    const auto length = static_cast<std::size_t>(arrow - words.begin());
    Step step;
    step.line = words.front().line;
    if (arrow != words.end()) {
      step.rows = read_rows(words.subspan(length));
      line = line.substr(0, arrow->column - 1);
    }
    line.remove_prefix(words.front().column - 1);
    while (is_blank(line.back())) line.remove_suffix(1);
    step.text = line;
    parse_action(words.first(length), step);
    scenario_.steps.push_back(std::move(step));
  }

 private:
  void parse_action(std::span<const Word> words, Step& step) {
    const Word& word = words.front();
    const auto verb =
        std::ranges::find(kVerbs, word.text, &std::pair<std::string_view, Verb>::first);
    if (verb == kVerbs.end()) throw Mistake(word, "unknown step: " + std::string(word.text));
    step.verb = verb->second;
    const std::span<const Word> arguments = words.subspan(1);
    switch (step.verb) {
      case Verb::kIn: parse_batch(word, arguments, step); return;
      case Verb::kWatermark: {
        if (arguments.empty() || arguments.size() > 2)
          throw Mistake(word, "watermark [INPUT] TIME");
        const auto time = read_time(arguments.back().text, Infinite::kYes);
        if (!time)
          throw Mistake(arguments.back(), "not a time: " + std::string(arguments.back().text));
        step.time = *time;
        step.inputs = named_or_all(word, arguments.first(arguments.size() - 1));
        return;
      }
      case Verb::kEnd:
        step.inputs = named_or_all(word, arguments);
        ended_.insert(step.inputs.begin(), step.inputs.end());
        return;
      case Verb::kIdle:
      case Verb::kActive:
        step.inputs = {named(word, arguments)};
        check_speaks(word, step.inputs.front());
        return;
      case Verb::kPause:
      case Verb::kResume: step.inputs = {named(word, arguments)}; return;
      case Verb::kAdvance: {
        const auto time = arguments.size() == 1 ? read_time(arguments.front().text) : std::nullopt;
        if (!time || time->ms < 0) throw Mistake(words.back(), "advance DURATION, not negative");
        step.duration = Duration(time->ms);
        return;
      }
      case Verb::kRestart: parse_restart(arguments, step); return;
    }
  }

  static void parse_restart(std::span<const Word> arguments, Step& step) {
    if (arguments.empty()) return;
    std::string_view text = arguments.front().text;
    constexpr std::string_view kName = "parallelism=";
    if (arguments.size() == 1 && text.starts_with(kName)) {
      text.remove_prefix(kName.size());
      const auto [end, error] =
          std::from_chars(text.data(), text.data() + text.size(), step.parallelism);
      if (error == std::errc{} && end == text.data() + text.size() && step.parallelism > 0 &&
          step.parallelism <= kMaxParallelism)
        return;
    }
    throw Mistake(arguments.front(),
                  "restart [parallelism=N], N from 1 to " + std::to_string(kMaxParallelism));
  }

  void parse_batch(const Word& word, std::span<const Word> arguments, Step& step) {
    const bool is_left_out =
        !arguments.empty() && arguments.front().text.find('@') != std::string_view::npos;
    const std::size_t input =
        named(word, arguments.first(arguments.empty() || is_left_out ? 0 : 1));
    if (!is_left_out && !arguments.empty()) arguments = arguments.subspan(1);
    step.inputs = {input};
    check_speaks(word, input);
    if (arguments.empty()) throw Mistake(word, "a batch needs at least one record");
    for (const Word& record : arguments) step.records.push_back(read_record(record, input));
  }

  GivenRecord read_record(const Word& word, std::size_t input) const {
    const auto fail = [&] {
      const bool is_long = has_too_many_digits(word.text.substr(word.text.find('=') + 1));
      return Mistake(
          word, (is_long ? "a number has at most 15 digits: " : "not a record KEY@TIME[=VALUE]: ") +
                    std::string(word.text));
    };
    const std::size_t at = word.text.find('@');
    if (at == std::string_view::npos) throw fail();
    const std::string_view rest = word.text.substr(at + 1);
    const std::size_t equals = rest.find('=');
    const auto time = read_time(rest.substr(0, equals));
    const auto value = equals == std::string_view::npos
                           ? Value::of(1.0)
                           : read_given(rest.substr(equals + 1), input);
    if (!is_key(word.text.substr(0, at)) || !time || !value) throw fail();
    if (needs_numbers() && value->kind != Value::Kind::kNumber)
      throw Mistake(word, "the aggregate takes numbers only: " + std::string(word.text));
    return {std::string(word.text.substr(0, at)), *time, *value};
  }

  [[nodiscard]] std::optional<Value> read_given(std::string_view text, std::size_t input) const {
    const std::string& kind = scenario_.stages.front().kind;
    if (kind == "timers" && is_timer_command(text)) return Value::of(std::string(text));
    if (kind == "asof-join" && input == 1 && text == "-") return Value{};
    return read_value(text);
  }

  // Also where the first stage's aggregate hands words on to one that takes none.
  [[nodiscard]] bool needs_numbers() const {
    const auto& stages = scenario_.stages;
    const auto first = stages.front().aggregate;
    if (first && takes_numbers_only(*first)) return true;
    const bool hands_on =
        first == Aggregate::kFirst || first == Aggregate::kLast || stages.front().kind == "dedup";
    return hands_on && stages.size() == 2 && stages[1].aggregate &&
           takes_numbers_only(*stages[1].aggregate);
  }

  // The input that `arguments` name; with one input it may be left out.
  [[nodiscard]] std::size_t named(const Word& step, std::span<const Word> arguments) const {
    const auto& names = scenario_.inputs;
    const std::string choice =
        names.size() == 1 ? names.front() : names.front() + " to " + names.back();
    if (arguments.empty()) {
      if (names.size() > 1) throw Mistake(step, "which input? one of " + choice);
      return 0;
    }
    const auto it = std::ranges::find(names, arguments.front().text);
    if (it == names.end())
      throw Mistake(arguments.front(),
                    "unknown input, not " + choice + ": " + std::string(arguments.front().text));
    if (arguments.size() > 1)
      throw Mistake(arguments[1], "nothing may follow: " + std::string(arguments[1].text));
    return static_cast<std::size_t>(it - names.begin());
  }

  // That one, or else all that have not ended.
  [[nodiscard]] std::vector<std::size_t> named_or_all(const Word& step,
                                                      std::span<const Word> arguments) const {
    if (!arguments.empty()) {
      const std::size_t input = named(step, arguments);
      check_speaks(step, input);
      return {input};
    }
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < scenario_.inputs.size(); ++i) {
      if (!ended_.contains(i)) all.push_back(i);
    }
    return all;
  }

  void check_speaks(const Word& step, std::size_t input) const {
    if (ended_.contains(input))
      throw Mistake(step, "this input has ended: " + scenario_.inputs[input]);
  }

  Scenario& scenario_;
  std::set<std::size_t> ended_;
};

}  // namespace

Scenario parse(std::string_view text) {
  Scenario scenario;
  StepParser steps(scenario);
  std::vector<Word> pipeline;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = without_comment(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::vector<Word> words = split(line, number);
    if (words.empty()) continue;
    if (pipeline.empty()) {
      pipeline = words;
      scenario.stages = parse_pipeline(words);
      scenario.inputs = input_names(scenario.stages.front());
    } else {
      steps.parse(words, line);
    }
  }
  if (pipeline.empty()) throw Mistake({}, "a scenario begins with its pipeline: the file has none");
  return scenario;
}

bool Scenario::uses_idleness() const {
  if (stages.front().duration("idle")) return true;
  return std::ranges::any_of(
      steps, [](const Step& s) { return s.verb == Verb::kIdle || s.verb == Verb::kActive; });
}

}  // namespace tidemill::scenario
