#include "app/metric_help.h"

#include <algorithm>
#include <iterator>

namespace tidemill {
namespace {

struct Help {
  std::string_view metric;  // without "tidemill_"
  std::string_view text;
};

// In order of the names.
constexpr Help kHelp[] = {
    {"bad_records_total", "Records that could not be read or written, by reason"},
    {"bytes_out_total", "Bytes handed to sinks"},
    {"checkpoint_duration_seconds", "From a checkpoint's trigger to its commit"},
    {"checkpoint_last_bytes", "Size of the state in the last checkpoint"},
    {"checkpoint_last_committed_seq", "Number of the last committed checkpoint"},
    {"checkpoint_last_committed_timestamp_seconds", "When the last checkpoint was committed"},
    {"checkpoint_stall_seconds", "For how long a barrier held a task up"},
    {"checkpoints_committed_total", "Checkpoints committed"},
    {"checkpoints_declined_total", "Checkpoints that could not be stored and are tried again"},
    {"dead_letters_total", "Bad records that were written out, by reason"},
    {"disorder_bound_seconds",
     "How far records may be behind the greatest event time, of splits with late records"},
    {"duplicate_records_total", "Records dropped because their key had come before"},
    {"event_age_seconds", "Wall clock minus event time, at each stage"},
    {"exchange_key_share", "Share of the records sent by key, of the hottest keys (2 % and more)"},
    {"kafka_delivery_failures_total", "Records that the brokers did not take"},
    {"kafka_lag_records", "Records not read yet, up to the last stable offset"},
    {"kafka_lag_seconds", "Wall clock minus the Kafka time of the last record read"},
    {"kafka_lag_to_high_watermark_records", "Records not read yet, up to the high watermark"},
    {"kafka_offset_gaps_total", "Offsets without a record (transaction markers, compaction)"},
    {"kafka_open_transaction_records", "Records behind somebody's open transaction"},
    {"kafka_open_transaction_seconds",
     "For how long an open transaction has held this partition's readers back"},
    {"kafka_producer_abandoned_total", "Producers that did not end in time and were left behind"},
    {"kafka_producer_disconnects_total", "Connections to brokers that the producer lost"},
    {"kafka_producer_recycles_total", "Producers replaced by fresh ones"},
    {"kafka_records_refused_total", "Rows that Kafka cannot take (too large, no key)"},
    {"kafka_records_written_total", "Rows given to the Kafka producer"},
    {"kafka_staged_bytes", "Rows that wait for the next transaction"},
    {"kafka_stale_records_total", "Records of before a seek that came after it"},
    {"kafka_unreachable_seconds",
     "For how long there has been no connection to the partition's leader; 0: there is one"},
    {"late_by_seconds", "By how much late records of a source were beyond what is allowed"},
    {"late_records_total", "Records that came too late, by reason"},
    {"lookup_cache_hits_total", "Look-ups answered from the cache"},
    {"lookup_failures_total", "Look-ups that failed"},
    {"lookup_requests_total", "Look-ups sent"},
    {"operator_records_out_total", "Records that operators gave, by output"},
    {"records_in_no_window_total", "Records that lie between two windows"},
    {"records_in_total", "Records that operators took"},
    {"records_out_total", "Rows handed to sinks"},
    {"records_pre_aggregated_total", "Records added up before they were sent by key"},
    {"redis_ack_latency_seconds", "From the writing of a row to Redis' answer"},
    {"redis_reconnects_total", "Connections to Redis made anew"},
    {"redis_rows_refused_total", "Rows that Redis refused"},
    {"redis_rows_resent_total", "Rows sent again after a connection was lost"},
    {"redis_rows_stale_total", "Rows older than what Redis has, left out"},
    {"redis_rows_waiting", "Rows that wait for Redis"},
    {"redis_rows_written_total", "Rows that Redis has acknowledged"},
    {"restarts_total", "Attempts that failed and were tried again"},
    {"source_bytes_total", "Bytes read"},
    {"source_lag_records", "Records not read yet"},
    {"source_lag_seconds", "Wall clock minus the greatest event time read; 0 at the end"},
    {"source_offset", "The position to read next, of each split"},
    {"source_records_total", "Records read"},
    {"state_memory_budget_bytes", "What keyed state in memory may take"},
    {"state_memory_bytes", "Keyed state in memory, by state"},
    {"state_memory_used_bytes", "Keyed state in memory, of all operators"},
    {"state_store_memory_bytes", "What RocksDB held in memory at the last checkpoint"},
    {"task_time_seconds_total",
     "Time of tasks: busy, back-pressured (what is behind takes nothing), or idle"},
    {"traces_dropped_total", "Traces that the collector did not take in time"},
    {"traces_exported_total", "Traces of checkpoints and restores that the collector has taken"},
    {"watermark_timestamp_seconds", "Event time that the operator has passed on"},
};

}  // namespace

std::string help_of(std::string_view metric) {
  constexpr std::string_view kPrefix = "tidemill_";
  const std::string_view name =
      metric.starts_with(kPrefix) ? metric.substr(kPrefix.size()) : metric;
  const auto* found = std::lower_bound(
      std::begin(kHelp), std::end(kHelp), name,
      [](const Help& help, std::string_view wanted) { return help.metric < wanted; });
  if (found != std::end(kHelp) && found->metric == name) return std::string(found->text);
  return "Counted by an operator of this job";
}

}  // namespace tidemill
