// The command line of a benchmark: flags with a value each, and what they are if nobody gives them.
#pragma once

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tidemill {

class Flags {
 public:
  // `values`: every flag there is, with its default. Prints `usage` and ends the process on --help;
  // throws std::invalid_argument naming the flag that is wrong and what there is.
  Flags(int argc, char** argv, std::string_view usage, std::map<std::string, std::string> values)
      : values_(std::move(values)) {
    for (int i = 1; i < argc; i += 2) {
      const std::string flag = argv[i];
      if (flag == "--help" || flag == "-h") {
        std::printf("%.*s", static_cast<int>(usage.size()), usage.data());
        std::exit(0);
      }
      const auto found = values_.find(flag);
      if (found == values_.end()) {
        std::string known;
        for (const auto& [name, _] : values_) known += " " + name;
        throw std::invalid_argument("unknown argument: " + flag + "; there are" + known);
      }
      if (i + 1 == argc) throw std::invalid_argument(flag + " wants a value");
      found->second = argv[i + 1];
    }
  }

  [[nodiscard]] const std::string& text(const std::string& flag) const { return values_.at(flag); }
  // One of `choices`.
  [[nodiscard]] const std::string& choice(const std::string& flag,
                                          const std::vector<std::string_view>& choices) const {
    const std::string& value = text(flag);
    std::string all;
    for (const std::string_view c : choices) {
      if (c == value) return value;
      all += (all.empty() ? "" : ", ") + std::string(c);
    }
    throw std::invalid_argument(flag + " is none of " + all + ": " + value);
  }
  // At least `least`.
  template <class N>
  [[nodiscard]] N number(const std::string& flag, N least) const {
    return parsed<N>(flag, text(flag), least);
  }
  // Numbers with commas between, each at least `least`.
  template <class N>
  [[nodiscard]] std::vector<N> numbers(const std::string& flag, N least) const {
    std::vector<N> all;
    std::string_view rest = text(flag);
    while (true) {
      const std::size_t comma = rest.find(',');
      all.push_back(parsed<N>(flag, rest.substr(0, comma), least));
      if (comma == std::string_view::npos) return all;
      rest.remove_prefix(comma + 1);
    }
  }

 private:
  template <class N>
  static N parsed(const std::string& flag, std::string_view text, N least) {
    N value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least)
      throw std::invalid_argument(flag + " wants a number from " + std::to_string(least) + ": " +
                                  std::string(text));
    return value;
  }

  std::map<std::string, std::string> values_;
};

}  // namespace tidemill
