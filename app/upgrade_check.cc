#include "app/upgrade_check.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "app/version.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/checkpoint/storage.h"
#include "engine/graph/plan.h"
#include "engine/operator/back_pressure.h"
#include "engine/operator/sink.h"
#include "engine/runtime/rehearsal.h"
#include "state/memory_backend.h"
#include "state/state_reader.h"
#include "state/type_difference.h"

namespace tidemill {
namespace {

namespace fs = std::filesystem;

std::string type_text(const Bytes& stored) {
  if (stored.empty()) return "unknown";
  ByteReader in(stored);
  return to_text(decode_stored_type(in));
}

struct Loaded {
  Manifest manifest;
  std::vector<StateDescription> states;
};

Loaded load(const Environment& env, const std::string& text) {
  const bool is_folder = text.find('/') != std::string::npos;
  fs::path place = fs::absolute(is_folder ? fs::path(text) : env.checkpoint_folder());
  if (!place.has_filename()) place = place.parent_path();
  const CheckpointStorage storage(is_folder ? place.parent_path() : place,
                                  CheckpointStorage::Access::kReadOnly);
  std::string id = is_folder ? place.filename().string() : "";
  const auto choose = [&] {
    for (const CheckpointName& name : storage.list()) {
      if (!is_folder && (text == "latest" || name.is_called(text))) id = name.id;
    }
  };
  choose();
  if (id.empty())
    throw Error(ErrorCode::kConfig, "there is no checkpoint " + text + " in " + place.string() +
                                        "; --list-checkpoints shows them");
  while (true) {
    try {
      Loaded loaded;
      loaded.manifest = storage.load(id).manifest;
      loaded.states = StateReader(loaded.manifest, storage.state_folder(id)).states();
      return loaded;
    } catch (const Error&) {
      // The job may be running: what was the newest has gone, another one is.
      const std::string before = id;
      choose();
      if (id == before) throw;
    }
  }
}

// What the operators of an attempt may ask for, over a store that holds no rows.
class Lent {
 public:
  explicit Lent(const Environment& env) {
    info_.job = env.job();
    resources_.lend<Backend>(store_);
    resources_.lend<BackPressure>(store_.budget());
    resources_.lend(info_);
    for (const auto& lend : env.lenders()) lend(resources_);
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  [[nodiscard]] MemoryBackend& store() { return store_; }
  [[nodiscard]] const MemoryBackend& store() const { return store_; }
  [[nodiscard]] Resources& resources() { return resources_; }

 private:
  MemoryBackend store_;
  AttemptInfo info_;
  Resources resources_;
};

// One outcome, in the order in which a restore would meet its errors.
class Check {
 public:
  Check(const Environment& env, Loaded loaded)
      : graph_(env.graph()->graph()),
        parallelism_(env.parallelism()),
        manifest_(std::move(loaded.manifest)),
        checkpoint_(manifest_.checkpoint),
        lent_(env) {
    store_.rehearse(loaded.states);
  }

  void run(const StateChanges& changes, const std::string& backend) {
    attempt([&] { require_backend(manifest_, backend); });
    attempt([&] { (void)rename_states(changes, manifest_, store_); });
    attempt([&] { require_sinks(graph_, manifest_.prepared); });
    attempt([&] {
      const Plan plan = make_plan(graph_, parallelism_, manifest_.key_groups);
      before_ = store_.describe();
      outcome_ = rehearse_operators(plan, &manifest_.operators, lent_.resources(), clock_);
    });
    for (const auto& [op, error] : outcome_.refused) note(error);
    std::set<StateName> unused = unused_state(manifest_, outcome_.unused_parts, graph_, store_);
    // Of an operator that could not be built nobody knows what it would have asked for.
    for (const auto& refused : outcome_.refused)
      std::erase_if(unused, [&](const StateName& name) { return name.op == refused.first; });
    lost_ = unused;
    if (!reason_)
      attempt(
          [&] { (void)drop_states(changes, manifest_, outcome_.unused_parts, graph_, store_); });
    if (!reason_) {
      dropped_ = std::exchange(lost_, {});
    }
  }

  [[nodiscard]] int exit() const { return reason_ ? exit_code(reason_->code()) : 0; }

  [[nodiscard]] std::string json() const {
    std::string text;
    JsonWriter json(text);
    json.begin_object().field("checkpoint", checkpoint_).field("fits", !reason_.has_value());
    json.field("exit", exit());
    json.field("reason", reason_ ? std::optional<std::string>(reason_->what()) : std::nullopt);
    const std::vector<Backend::Adopted> adopted = store_.adopted();
    write_present(json, adopted);
    json.key("changed").begin_array();
    for (const Backend::Adopted& a : adopted) {
      json.begin_object().field("operator", a.name.op).field("state", a.name.state);
      json.field("from", to_text(a.former.value)).field("to", to_text(a.present.value));
      json.field("rows_converted", a.converts).key("changes").begin_array();
      for (const std::string& change : type_differences(a.former.value, a.present.value))
        json.value(change);
      json.end_array().end_object();
    }
    json.end_array();
    write_names(json, "lost", lost_);
    write_names(json, "dropped", dropped_);
    json.key("refused").begin_array();
    for (const auto& [op, error] : outcome_.refused)
      json.begin_object()
          .field("operator", op)
          .field("reason", std::string(error.what()))
          .end_object();
    json.end_array().end_object();
    return text;
  }

 private:
  template <class F>
  void attempt(F&& step) {
    try {
      step();
    } catch (const Error& error) {
      note(error);
    }
  }
  // The first one is what a restore would end with.
  void note(const Error& error) {
    if (!reason_) reason_.emplace(error);
  }

  void write_present(JsonWriter& json, const std::vector<Backend::Adopted>& adopted) const {
    std::set<StateName> former;
    for (const StateDescription& state : before_) former.insert(state.name);
    const auto unused = store_.unused_states();
    const auto is_plain = [&](const StateName& name) {
      return std::find(unused.begin(), unused.end(), name) == unused.end() &&
             std::none_of(adopted.begin(), adopted.end(),
                          [&](const auto& a) { return a.name == name; });
    };
    for (const bool is_kept : {true, false}) {
      json.key(is_kept ? "kept" : "added").begin_array();
      for (const StateDescription& state : store_.describe()) {
        if (former.contains(state.name) != is_kept || !is_plain(state.name)) continue;
        json.begin_object().field("operator", state.name.op).field("state", state.name.state);
        json.field("kind", state.kind).field("key", type_text(state.key_type));
        json.field("value", type_text(state.value_type)).end_object();
      }
      json.end_array();
    }
  }
  static void write_names(JsonWriter& json, const char* member, const std::set<StateName>& names) {
    json.key(member).begin_array();
    for (const StateName& name : names)
      json.begin_object().field("operator", name.op).field("state", name.state).end_object();
    json.end_array();
  }

  const Graph graph_;
  const int parallelism_;
  Manifest manifest_;
  const std::string checkpoint_;
  const SystemClock clock_;
  Lent lent_;
  MemoryBackend& store_ = lent_.store();
  std::vector<StateDescription> before_;
  RehearsedOperators outcome_;
  std::optional<Error> reason_;
  std::set<StateName> lost_;
  std::set<StateName> dropped_;
};

}  // namespace

int check_upgrade(const Environment& env, const StateChanges& changes, const std::string& backend,
                  const std::string& checkpoint) {
  Check check(env, load(env, checkpoint));
  check.run(changes, backend);
  std::printf("%s\n", check.json().c_str());
  return check.exit();
}

int describe_state(const Environment& env, std::uint32_t key_groups) {
  const SystemClock clock;
  Lent lent(env);
  const Plan plan = make_plan(env.graph()->graph(), env.parallelism(), key_groups);
  const RehearsedOperators built = rehearse_operators(plan, nullptr, lent.resources(), clock);
  if (!built.refused.empty()) throw Error(built.refused.front().second);
  const std::vector<StateDescription> states = lent.store().describe();
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("version", std::string(kVersionText)).field("job", env.job());
  json.field("key_groups", key_groups).key("operators").begin_array();
  for (const Node& node : plan.graph.nodes) {
    json.begin_object().field("operator", node.name).field("kind", node.kind);
    json.key("states").begin_array();
    for (const StateDescription& state : states) {
      if (state.name.op != node.name) continue;
      json.begin_object().field("state", state.name.state).field("kind", state.kind);
      json.field("key", type_text(state.key_type)).field("value", type_text(state.value_type));
      json.end_object();
    }
    json.end_array().key("parts").begin_array();
    if (const auto parts = built.parts.find(node.name); parts != built.parts.end()) {
      for (const std::string& part : parts->second) json.value(part);
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  std::printf("%s\n", text.c_str());
  return 0;
}

}  // namespace tidemill
