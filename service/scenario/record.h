// The records that flow through the pipeline of a scenario.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include <boost/describe.hpp>

#include "engine/data/batch.h"
#include "engine/data/raw_record.h"
#include "engine/time/watermark_generator.h"
#include "operators/accumulator.h"
#include "operators/changelog.h"
#include "operators/window.h"
#include "service/scenario/spelling.h"
#include "service/scenario/value.h"

namespace tidemill::scenario {

struct ScenarioRecord {
  std::string key;
  EventTime time;
  Value value;
  double number = 0;  // of a number's value
  TieOrder place;     // input, and number of the record in it; not stored

  // What a late record of the source looks like.
  void describe(RejectedRecord& record) const {
    record.key = key;
    record.has_key = true;
    record.value = print(value);
  }
  BOOST_DESCRIBE_CLASS(ScenarioRecord, (), (key, time, value, number), (), ())
};

inline ScenarioRecord make_record(std::string key, EventTime time, Value value, TieOrder place) {
  const double number = value.number;
  return {std::move(key), time, std::move(value), number, place};
}

using WindowRow = Windowed<std::string, Value>;

// A row that a stage gives out, in the words of the language; its time is the record's.
struct ResultRow {
  std::string text;
  // What the row is to a second stage. Not of rows that are no results: deletes.
  std::string key;
  Value value;
  bool is_result = true;
};

// Bounded disorder, or none: then only what an input says moves event time.
struct ScenarioDisorder {
  BoundedDisorder bounded;
  bool is_bounded = false;

  void observe(const ScenarioRecord& record, EventTime time) { bounded.observe(record, time); }
  [[nodiscard]] EventTime watermark() const {
    return is_bounded ? bounded.watermark() : EventTime::min();
  }
  void save(Bytes& out) const { bounded.save(out); }
  void load(ByteReader& in) { bounded.load(in); }
};

}  // namespace tidemill::scenario

namespace tidemill {

// A step's batch, and what one cause gives out, stay one batch: scenarios are judged by them.
template <>
inline constexpr std::size_t kBatchRows<scenario::ScenarioRecord> = 4096;
template <>
inline constexpr std::size_t kExchangeRows<scenario::ScenarioRecord> = 4096;
template <>
inline constexpr std::size_t kBatchRows<scenario::WindowRow> = 4096;
template <>
inline constexpr std::size_t kBatchRows<Change<scenario::WindowRow>> = 4096;
template <>
inline constexpr std::size_t kBatchRows<Keyed<std::string, scenario::Value>> = 4096;
template <>
inline constexpr std::size_t kBatchRows<scenario::ResultRow> = 4096;

}  // namespace tidemill
