// Event in -> row readable in Redis, seen from outside of the job: writes user events to Kafka in
// an open loop and looks in Redis for the rows of some of them. Latency counts from the instant at
// which an event was due, so a writer that falls behind hides nothing. Beside it a thread that only
// sleeps and reads the clock records what the machine itself does to any thread.
//
//   freshness_bench BROKERS TOPIC REDIS_PORT EVENTS_PER_SECOND SECONDS USERS
//
// One event in a hundred is a probe: the first and only one of its user, whose key is asked for
// until it is there. Prints one JSON object.
#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <netinet/tcp.h>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "connectors/kafka/transactional_producer.h"

namespace {

using namespace tidemill;
using Clock = std::chrono::steady_clock;

constexpr auto kWarmUp = std::chrono::seconds(60);  // the broker compiles itself meanwhile
constexpr auto kLook = std::chrono::microseconds(200);
constexpr auto kNap = std::chrono::microseconds(500);
constexpr auto kPatience = std::chrono::seconds(30);
constexpr unsigned kProbeEvery = 100;

double ms(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

std::string percentiles(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    if (values.empty()) return 0.0;
    const auto i = static_cast<std::size_t>(share * static_cast<double>(values.size()));
    return values[std::min(i, values.size() - 1)];
  };
  char text[200];
  std::snprintf(
      text, sizeof text,
      R"({"count": %zu, "p50": %.2f, "p90": %.2f, "p99": %.2f, "p999": %.2f, "max": %.2f})",
      values.size(), at(0.5), at(0.9), at(0.99), at(0.999), at(1.0));
  return text;
}

struct Probe {
  std::string key;
  Clock::time_point due;
};

// EXISTS for many keys at once over one connection.
class Redis {
 public:
  explicit Redis(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("Redis does not answer");
  }
  ~Redis() { ::close(socket_); }
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;

  // One answer a probe, in order.
  std::vector<bool> exist(const std::vector<Probe>& probes) {
    std::string request;
    for (const Probe& probe : probes) {
      request += "*2\r\n$6\r\nEXISTS\r\n$" + std::to_string(probe.key.size()) + "\r\n" + probe.key +
                 "\r\n";
    }
    for (std::size_t sent = 0; sent < request.size();) {
      const ssize_t n = ::write(socket_, request.data() + sent, request.size() - sent);
      if (n <= 0) throw std::runtime_error("Redis went away");
      sent += static_cast<std::size_t>(n);
    }
    std::string answer;  // ":0\r\n" or ":1\r\n" each
    char buffer[4096];
    while (answer.size() < 4 * probes.size()) {
      const ssize_t n = ::read(socket_, buffer, sizeof buffer);
      if (n <= 0) throw std::runtime_error("Redis went away");
      answer.append(buffer, static_cast<std::size_t>(n));
    }
    std::vector<bool> found;
    for (std::size_t i = 0; i < probes.size(); ++i) {
      if (answer[4 * i] != ':') throw std::runtime_error("Redis answered: " + answer);
      found.push_back(answer[4 * i + 1] == '1');
    }
    return found;
  }

 private:
  const int socket_;
};

class Freshness {
 public:
  Freshness(int redis_port, Clock::time_point counted_from)
      : redis_(redis_port), counted_from_(counted_from) {}

  void expect(Probe probe) {
    const std::lock_guard lock(mutex_);
    new_.push_back(std::move(probe));
  }

  // Until `stop` and everything expected was seen, or has been missing for too long.
  void look(const std::stop_token& stop) {
    std::vector<Probe> waiting;
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        std::move(new_.begin(), new_.end(), std::back_inserter(waiting));
        new_.clear();
      }
      if (waiting.empty() && stop.stop_requested()) return;
      if (!waiting.empty()) {
        const std::vector<bool> found = redis_.exist(waiting);
        const auto now = Clock::now();
        std::vector<Probe> rest;
        for (std::size_t i = 0; i < waiting.size(); ++i) {
          if (found[i]) {
            if (waiting[i].due >= counted_from_) latencies.push_back(ms(now - waiting[i].due));
          } else if (now - waiting[i].due < kPatience) {
            rest.push_back(std::move(waiting[i]));
          } else {
            ++missing;
          }
        }
        waiting = std::move(rest);
      }
      std::this_thread::sleep_for(kLook);
    }
  }

  std::vector<double> latencies;
  std::uint64_t missing = 0;

 private:
  Redis redis_;
  const Clock::time_point counted_from_;
  std::mutex mutex_;
  std::vector<Probe> new_;
};

std::vector<double> hiccups(const std::stop_token& stop, Clock::time_point counted_from) {
  std::vector<double> late;
  while (!stop.stop_requested()) {
    const auto before = Clock::now();
    std::this_thread::sleep_for(kNap);
    if (before >= counted_from) late.push_back(std::max(0.0, ms(Clock::now() - before - kNap)));
  }
  return late;
}

std::string event_of(const std::string& user, std::uint64_t number, std::int64_t time_ms) {
  static constexpr const char* kActions[] = {"view", "click", "purchase", "search"};
  return "{\"user_id\":\"" + user + "\",\"action\":\"" + kActions[number % 4] +
         "\",\"value\":" + std::to_string(number % 1000) +
         ",\"timestamp\":" + std::to_string(time_ms) + "}";
}

int run(char** argv) {
  const std::string topic = argv[2];
  const double rate = std::strtod(argv[4], nullptr);
  const auto users = static_cast<std::uint32_t>(std::strtoul(argv[6], nullptr, 10));
  const auto seconds = std::chrono::seconds(std::strtol(argv[5], nullptr, 10));
  MetricRegistry metrics;
  kafka::ProducerSettings settings;
  settings.client.brokers = argv[1];
  settings.client.properties = {{"linger.ms", "0.5"}, {"compression.type", "none"}};
  settings.client_id = "freshness";
  kafka::TransactionalProducer producer(settings, metrics);
  const std::size_t index = producer.add_topic(topic);

  const auto start = Clock::now() + std::chrono::milliseconds(200);
  const auto wall_start = std::chrono::duration_cast<std::chrono::milliseconds>(
                              std::chrono::system_clock::now().time_since_epoch())
                              .count() +
                          200;
  Freshness freshness(std::atoi(argv[3]), start + kWarmUp);
  std::vector<double> naps;
  std::vector<double> writer_late;
  {
    std::jthread sleeper(
        [&](const std::stop_token& stop) { naps = hiccups(stop, start + kWarmUp); });
    std::jthread looker([&](const std::stop_token& stop) { freshness.look(stop); });
    std::minstd_rand random(1);
    const auto total =
        static_cast<std::uint64_t>(rate * std::chrono::duration<double>(seconds + kWarmUp).count());
    for (std::uint64_t i = 0; i < total; ++i) {
      const auto after = std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(static_cast<double>(i) / rate));
      const auto due = start + after;
      if (Clock::now() < due) std::this_thread::sleep_until(due + std::chrono::microseconds(500));
      const bool is_probe = random() % kProbeEvery == 0;
      const std::string user =
          is_probe ? "p" + std::to_string(i) : "u" + std::to_string(random() % users);
      const std::string value = event_of(
          user, i,
          wall_start + std::chrono::duration_cast<std::chrono::milliseconds>(after).count());
      if (is_probe) {
        writer_late.push_back(ms(Clock::now() - due));
        freshness.expect({"features:" + user, due});
      }
      const kafka::OutputRecord record{
          .topic = index, .key = user, .has_key = true, .value = value};
      if (producer.produce(record).status != kafka::ProduceStatus::kAccepted)
        throw std::runtime_error("Kafka takes no more events");
    }
    producer.flush();
  }
  std::printf(
      "{\"events_per_second\": %.0f, \"seconds\": %lld, \"users\": %u, \"missing\": %llu,\n"
      " \"freshness_ms\": %s,\n \"writer_behind_ms\": %s,\n \"machine_hiccups_ms\": %s}\n",
      rate, static_cast<long long>(seconds.count()), users,
      static_cast<unsigned long long>(freshness.missing), percentiles(freshness.latencies).c_str(),
      percentiles(writer_late).c_str(), percentiles(naps).c_str());
  return freshness.missing == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(
        stderr,
        "usage: freshness_bench BROKERS TOPIC REDIS_PORT EVENTS_PER_SECOND SECONDS USERS\n");
    return 2;
  }
  try {
    return run(argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
