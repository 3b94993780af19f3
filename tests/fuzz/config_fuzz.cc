// Any bytes as what a user says to the main job: the configuration file, and behind each NUL byte
// one more word of the command line. A mistake is named, and nothing else happens.
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "app/flags.h"
#include "app/run.h"
#include "connectors/kafka/settings.h"
#include "connectors/redis/address.h"
#include "jobs/feature_pipeline/positions.h"
#include "jobs/feature_pipeline/settings.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using tidemill::Config;
using tidemill::ConfigKey;
using tidemill::ErrorCode;

const std::vector<ConfigKey>& all_keys() {
  static const std::vector<ConfigKey> keys = [] {
    std::vector<ConfigKey> all = tidemill::common_keys();
    const std::vector<ConfigKey> own = tidemill::features::keys();
    all.insert(all.end(), own.begin(), own.end());
    return all;
  }();
  return keys;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at != std::string_view::npos && words.size() < 20;) {
    const std::size_t end = text.find('\0', at);
    words.emplace_back(text.substr(at, end == std::string_view::npos ? end : end - at));
    at = end == std::string_view::npos ? end : end + 1;
  }
  return words;
}

bool accepts(const auto& read) { return tidemill::fuzz::accepts({ErrorCode::kConfig}, read); }

// Everything that the job reads out of its settings before it connects to anything.
void use(const Config& config) {
  namespace features = tidemill::features;
  namespace kafka = tidemill::kafka;
  (void)accepts([&] { (void)features::windows_of(config); });
  (void)accepts([&] { (void)features::trailing_options_of(config); });
  (void)accepts([&] { (void)features::source_settings_of(config); });
  (void)accepts([&] { (void)features::input_fields_of(config); });
  (void)accepts([&] { (void)features::start_position(config); });
  (void)accepts([&] { (void)features::stop_position(config); });
  (void)accepts([&] { (void)kafka::parse_partitions(config.text("accept.loss")); });
  (void)accepts([&] { (void)kafka::parse_start(config.text("source.kafka.start")); });
  (void)accepts([&] { (void)tidemill::parse_redis_url(config.text("sinks.redis.url")); });
  (void)accepts([&] {
    kafka::SourceSettings source;
    source.client.brokers = config.required("source.kafka.brokers");
    source.client.properties = config.below("source.kafka.properties");
    (void)kafka::consumer_properties(source, 4);
  });
  (void)accepts([&] { (void)config.bytes("memory"); });
  (void)accepts([&] { (void)config.integer("key_groups", 1, 65536); });
  (void)accepts([&] { (void)config.duration("checkpoint.interval"); });
  (void)config.print();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> words = words_of(tidemill::fuzz::text_of(data, size));
  const std::string file = words.front();
  words.front() = "feature_pipeline";
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  Config config(all_keys());
  (void)accepts([&] { config.read_text(file, "features.yaml"); });
  (void)accepts([&] {
    const auto flags = tidemill::parse_flags(static_cast<int>(words.size()), argv.data(), "fuzzed");
    if (!flags) return;
    for (const auto& [key, value] : flags->settings) config.set(key, value, "command line");
  });
  use(config);
  return 0;
}
