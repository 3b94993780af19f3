#include "bench/nexmark/report.h"

#include <cstdio>
#include <sys/resource.h>

namespace tidemill::nexmark {
namespace {

double per_event_ns(double seconds, const Options& options) {
  return seconds * 1e9 / static_cast<double>(options.events);
}

std::uint64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

void print_json(const Options& o, const Report& r) {
  std::printf("{\"query\": \"%s\", \"events\": %lld, \"rows\": %lld", r.query.c_str(),
              static_cast<long long>(o.events), static_cast<long long>(r.run.rows));
  if (r.has_checksum)
    std::printf(", \"checksum\": \"%016llx\"", static_cast<unsigned long long>(r.run.checksum));
  if (r.is_as_published)
    std::printf(", \"as_published\": %s", *r.is_as_published ? "true" : "false");
  std::printf(", \"wall_s\": %.6f, \"cpu_ns_per_event\": %.2f, \"events_per_s\": %.0f",
              r.run.wall_s, per_event_ns(r.run.cpu_s, o),
              static_cast<double>(o.events) / r.run.wall_s);
  if (r.hand_cpu_s)
    std::printf(", \"hand_cpu_ns_per_event\": %.2f", per_event_ns(*r.hand_cpu_s, o));
  std::printf(
      ", \"parallelism\": %d, \"backend\": \"%s\", \"peak_rss_bytes\": %llu, "
      "\"tables_bytes\": %llu}\n",
      o.parallelism, o.backend.c_str(), static_cast<unsigned long long>(peak_rss_bytes()),
      static_cast<unsigned long long>(r.run.tables_bytes));
}

}  // namespace

void print_header(const Options& o) {
  if (o.json) return;
  std::printf("%-5s %10s %16s %10s %10s %14s", "query", "rows", o.verify ? "checksum" : "",
              "wall s", "CPU ns/ev", "events/s");
  if (o.hand) std::printf(" %12s %14s", "hand ns/ev", "of 3 hand + 5");
  std::printf("\n");
}

void print_report(const Options& o, const Report& r) {
  if (o.json) {
    print_json(o, r);
  } else {
    const double ns = per_event_ns(r.run.cpu_s, o);
    std::printf("%-5s %10lld ", r.query.c_str(), static_cast<long long>(r.run.rows));
    if (r.has_checksum) {
      std::printf("%016llx", static_cast<unsigned long long>(r.run.checksum));
    } else {
      std::printf("%16s", "");
    }
    std::printf(" %10.3f %10.1f %14.0f", r.run.wall_s, ns,
                static_cast<double>(o.events) / r.run.wall_s);
    if (r.hand_cpu_s) {
      const double hand = per_event_ns(*r.hand_cpu_s, o);
      std::printf(" %12.1f %13.0f%%", hand, ns / (3 * hand + 5) * 100);
    }
    if (r.is_as_published) std::printf("  %s", *r.is_as_published ? "as published" : "DIFFERENT");
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace tidemill::nexmark
