// Any bytes as what a checkpoint holds besides its manifest: the rows of the state store and the
// operator's parts. Restored into every kind of state: refused as damaged, or usable.
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/files.h"
#include "engine/base/hash.h"
#include "engine/base/metrics.h"
#include "engine/operator/context.h"
#include "state/keyed_list.h"
#include "state/keyed_table.h"
#include "state/keyed_value.h"
#include "state/memory_backend.h"
#include "state/operator_state.h"
#include "state/timers.h"
#include "state/windowed_value.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/state/attempt.h"

namespace {

using tidemill::Bytes;
using tidemill::ByteView;
using tidemill::ErrorCode;
using tidemill::EventTime;
using tidemill::KeyGroup;
using tidemill::OperatorContext;

// The rows: varint count, then sized key and sized value of each.
Bytes memory_snapshot(ByteView rows) { return Bytes("TMMEM001").append(rows); }

void visit_everything(OperatorContext& ctx) {
  tidemill::KeyedValue<std::string, std::int64_t> values(ctx, "value");
  tidemill::KeyedList<std::int64_t, std::string> lists(ctx, "list");
  tidemill::KeyedTable<std::string, EventTime, double> tables(ctx, "table");
  tidemill::WindowedValue<std::string, std::string> windows(ctx, "windowed");
  tidemill::Timers<std::string> timers(ctx, "timers");
  tidemill::OperatorState<std::string> part(ctx, "part");
  tidemill::KeyGroupClocks clocks(ctx, "clocks");
  for (KeyGroup group = ctx.key_groups().begin; group < ctx.key_groups().end; ++group) {
    values.for_each_in_group(group, [](const std::string&, std::uint64_t, const std::int64_t&) {});
    for (const EventTime ns : windows.namespaces())
      windows.for_each(ns, group, [](const std::string&, std::uint64_t, const std::string&) {});
    (void)timers.fire_due(group, EventTime::max(), 1000,
                          [](EventTime, const std::string&, std::uint64_t, std::uint64_t) {});
  }
  (void)values.find("u");
  (void)lists.find(1, tidemill::key_hash(std::int64_t{1}));
  (void)tables.get("u", tidemill::key_hash("u"), EventTime{1});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tidemill::testing::TemporaryFolder folder;
  const ByteView bytes = tidemill::fuzz::text_of(data, size);
  const Bytes content = memory_snapshot(bytes);
  tidemill::write_file(folder.path() / "state.mem", content, tidemill::Durability::kNone);
  // kConfig: a state is registered as one of another kind.
  (void)tidemill::fuzz::accepts({ErrorCode::kCorrupt, ErrorCode::kConfig}, [&] {
    tidemill::MemoryBackend backend(0);
    backend.restore(folder.path(), {{"state.mem", content.size(), tidemill::hash_bytes(content)}});
    tidemill::Resources resources;
    resources.lend<tidemill::Backend>(backend);
    tidemill::MetricRegistry metrics;
    const tidemill::ManualClock clock;
    OperatorContext ctx({"op", 0, 1, {0, 4, 4}}, resources, metrics, clock, nullptr);
    visit_everything(ctx);
  });
  // The same bytes as parts of the manifest, for another number of subtasks than wrote them.
  for (const char* name : {"part", "clocks"}) {
    (void)tidemill::fuzz::accepts({ErrorCode::kCorrupt}, [&] {
      tidemill::MemoryBackend backend(0);
      tidemill::Resources resources;
      resources.lend<tidemill::Backend>(backend);
      tidemill::MetricRegistry metrics;
      const tidemill::ManualClock clock;
      tidemill::RestoredOperator restored;
      restored.subtasks.push_back({{{name, Bytes(bytes)}}, {}});
      OperatorContext ctx({"op", 1, 3, {2, 3, 4}}, resources, metrics, clock, &restored);
      visit_everything(ctx);
    });
  }
  return 0;
}
