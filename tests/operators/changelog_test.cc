// Streams that revise themselves: which sinks take them, and how they come from and go to a
// compacted topic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "connectors/file/file_sink.h"
#include "connectors/memory/memory_rows.h"
#include "connectors/memory/scripted_source.h"
#include "engine/graph/plan.h"
#include "operators/aggregates.h"
#include "operators/changelog_io.h"
#include "operators/keyed_stream.h"
#include "operators/source.h"

namespace tidemill {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Event {
  std::string key;
  std::int64_t at = 0;
};

void write_row(const Windowed<std::string, std::int64_t>& row, EventTime, OutputBatch& out) {
  out.begin_row();
  out.buffer() += row.key;
  out.end_key();
  out.buffer() += std::to_string(row.value);
  out.end_row();
}

// Counts in windows, with these options, on the way to `sink`.
template <class Between>
Graph counts_to(const SinkSpec& sink, WindowOptions options, Between between) {
  auto graph = std::make_shared<GraphBuilder>();
  auto script = std::make_shared<Script<Event>>(std::vector<std::string>{"p0"});
  const SourceSpec<Event> source{"script", read_script(script, 0, 1)};
  const auto time_of = [](const Event& e) { return EventTime{e.at}; };
  const Stream<Event> events = read_events(graph, "events", source, time_of, Duration(0));
  const auto counts = events.key_by(&Event::key)
                          .window(Tumbling{.size = Duration(10)}, options)
                          .aggregate<Count>("counts");
  between(counts).sink_to("rows", sink, &write_row);
  return graph->graph();
}

std::string refusal_of(const Graph& graph) {
  try {
    make_plan(graph, 1);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
}

const auto kAsItIs = [](const auto& rows) { return rows; };
const auto kFiltered = [](const auto& rows) {
  return rows.filter([](const auto& row) { return row.value > 1; });
};
const auto kAsEvents = [](const auto& rows) { return kFiltered(rows.as_events()); };

TEST(ChangelogTest, ASinkThatOnlyAddsRefusesRowsThatAreTakenBack) {
  const SinkSpec file = file_sink({.dir = "/nowhere"});
  const WindowOptions late{.allowed_lateness = Duration(5)};
  EXPECT_THAT(refusal_of(counts_to(file, late, kAsItIs)),
              AllOf(HasSubstr("file sink rows can only add rows"),
                    HasSubstr("counts gives rows of a window again (allowed_lateness)"),
                    HasSubstr(".as_events()")));
  EXPECT_THAT(refusal_of(counts_to(file, {.early = Duration(1)}, kFiltered)), HasSubstr("(early)"))
      << "through operators that pass rows on";
  EXPECT_THAT(refusal_of(counts_to(file, {.on_update = true}, kFiltered)),
              HasSubstr("(on_update)"));
}

TEST(ChangelogTest, OthersTakeThem) {
  const WindowOptions late{.allowed_lateness = Duration(5)};
  const SinkSpec file = file_sink({.dir = "/nowhere"});
  EXPECT_EQ(refusal_of(counts_to(file, {}, kFiltered)), "") << "nothing is taken back";
  EXPECT_EQ(refusal_of(counts_to(file, late, kAsEvents)), "") << "asked for";
  const SinkSpec memory = memory_sink(std::make_shared<MemoryRows>());
  EXPECT_EQ(refusal_of(counts_to(memory, late, kAsItIs)), "") << "replaces rows by key";
}

struct Balance {
  std::string account;
  std::string amount;
};

TEST(ChangelogTest, ACompactedTopicIsOne) {
  const auto read_value = [](const RawRecord& raw, const Origin&, Balance& out, Rejection& why) {
    if (raw.value.empty()) why.reason = "empty";
    out = {std::string(raw.key), std::string(raw.value)};
    return !raw.value.empty();
  };
  const auto read_key = [](std::string_view key, Balance& out) {
    out.account = key;
    return !key.empty();
  };
  auto decode = decode_changes<Balance>(read_value, read_key);
  const auto read = [&](RawRecord raw) -> std::string {
    Change<Balance> change;
    Rejection why;
    if (!decode(raw, Origin{}, change, why)) return std::string(why.reason);
    return std::string(change.is_delete() ? "- " : "= ") + change.row.account + " " +
           change.row.amount;
  };
  EXPECT_EQ(read({.value = "7", .key = "a", .has_key = true}), "= a 7");
  EXPECT_EQ(read({.value = "", .key = "a", .has_key = true, .has_value = false}), "- a ");
  EXPECT_EQ(read({.value = "", .key = "a", .has_key = true}), "empty") << "its own decoder's word";
  EXPECT_EQ(read({.value = "7", .key = ""}), "no_key");
  EXPECT_EQ(read({.value = "", .key = "", .has_key = true, .has_value = false}), "bad_key");

  OutputBatch out;
  auto encode = encode_changes<Balance>([](const Balance& b, EventTime time, OutputBatch& to) {
    if (b.amount == "none") return;
    to.begin_row();
    to.buffer() += b.account;
    if (b.account != "") to.end_key();
    to.buffer() += b.amount;
    to.set_time(time);
    to.end_row();
  });
  encode(Change<Balance>::insert({"a", "7"}), EventTime{1}, out);
  encode(Change<Balance>::remove({"a", "7"}), EventTime{2}, out);
  encode(Change<Balance>::insert({"b", "none"}), EventTime{2}, out);
  encode(Change<Balance>::update({"c", "8"}), EventTime{3}, out);
  ASSERT_EQ(out.size(), 3U);
  EXPECT_EQ(out.row(0).value, "7");
  EXPECT_TRUE(out.row(1).is_delete);
  EXPECT_EQ(out.row(1).key, "a");
  EXPECT_EQ(out.row(1).value, "");
  EXPECT_EQ(out.row(2).key, "c");
  EXPECT_EQ(out.row(2).value, "8");
  EXPECT_FALSE(out.row(2).is_delete);
  EXPECT_THROW(encode(Change<Balance>::insert({"", "9"}), EventTime{4}, out), Error);
}

}  // namespace
}  // namespace tidemill
