#include "engine/checkpoint/state_changes.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/checkpoint/refusal.h"
#include "engine/checkpoint/restore_point.h"

namespace tidemill {
namespace {

constexpr std::string_view kEngineParts = "#";  // begin so: every stage has them

std::string full(const StateName& name) { return name.op + "/" + name.state; }

// Whether `chosen` means this state.
bool means(const std::string& chosen, const StateName& name) {
  const std::string whole = full(name);
  return chosen == name.op || chosen == whole || whole.starts_with(chosen + ".");
}

// The states that the manifest holds itself.
std::set<StateName> parts_of(const Manifest& manifest) {
  std::set<StateName> names;
  for (const auto& [op, restored] : manifest.operators) {
    for (const auto& subtask : restored.subtasks) {
      if (!subtask.positions.empty()) names.insert({op, "positions"});
      for (const StatePart& part : subtask.parts) {
        if (!part.name.starts_with(kEngineParts) && !part.bytes.empty())
          names.insert({op, part.name});
      }
    }
  }
  return names;
}

bool has_operator(const Manifest& manifest, const SnapshotStore& store, const std::string& op) {
  const auto states = store.states();
  return manifest.operators.contains(op) ||
         std::ranges::any_of(states, [&](const StateName& s) { return s.op == op; }) ||
         std::ranges::any_of(manifest.prepared,
                             [&](const auto& p) { return p.operator_name == op; });
}

[[noreturn]] void collide(const std::string& former, const std::string& present) {
  throw Error(ErrorCode::kConfig,
              "--rename-state wants to give state a name that the checkpoint "
              "has already; if it was renamed at an earlier start, leave the "
              "flag away: " +
                  former + "=" + present);
}

void rename_operator(const std::string& from, const std::string& to, Manifest& manifest,
                     SnapshotStore& store) {
  if (has_operator(manifest, store, to)) collide(from, to);
  for (const StateName& name : store.states()) {
    if (name.op == from) store.rename_state(name, {to, name.state});
  }
  if (auto op = manifest.operators.extract(from)) {
    op.key() = to;
    manifest.operators.insert(std::move(op));
  }
  for (SourcePositions& source : manifest.sources) {
    if (source.source == from) source.source = to;
  }
  for (Manifest::Prepared& prepared : manifest.prepared) {
    if (prepared.operator_name == from) prepared.operator_name = to;
  }
}

// True if there was one.
bool rename_state(const std::string& from, const std::string& to, Manifest& manifest,
                  SnapshotStore& store) {
  const auto renamed = [&](const StateName& name) -> StateName {
    const std::size_t slash = to.rfind('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == to.size()) {
      throw Error(ErrorCode::kConfig,
                  "--rename-state wants OPERATOR=OPERATOR or OPERATOR/STATE=OPERATOR/STATE: " +
                      from + "=" + to);
    }
    return {to.substr(0, slash), to.substr(slash + 1) + full(name).substr(from.size())};
  };
  bool found = false;
  const auto states = store.states();
  for (const StateName& name : states) {
    if (name.op == from || !means(from, name)) continue;
    if (std::ranges::find(states, renamed(name)) != states.end()) collide(from, to);
    store.rename_state(name, renamed(name));
    found = true;
  }
  const auto parts = parts_of(manifest);
  for (const StateName& name : parts) {
    if (name.op == from || !means(from, name)) continue;
    const StateName target = renamed(name);
    if (parts.contains(target)) collide(from, to);
    auto& subtasks = manifest.operators[name.op].subtasks;
    auto& receivers = manifest.operators[target.op].subtasks;
    receivers.resize(std::max(receivers.size(), subtasks.size()));
    for (std::size_t i = 0; i < subtasks.size(); ++i) {
      auto& all = subtasks[i].parts;
      const auto part = std::ranges::find(all, name.state, &StatePart::name);
      if (part == all.end()) continue;
      StatePart moved = std::move(*part);
      all.erase(part);
      moved.name = target.state;
      receivers[i].parts.push_back(std::move(moved));
    }
    found = true;
  }
  return found;
}

}  // namespace

void require_backend(const Manifest& manifest, const std::string& backend) {
  if (manifest.backend == backend) return;
  throw Error(ErrorCode::kConfig, "checkpoint " + manifest.checkpoint +
                                      " was written with state.backend " + manifest.backend +
                                      ", this run has " + backend +
                                      "; keep the backend, or begin under another name (--as)");
}

void require_sinks(const Graph& graph, const std::vector<Manifest::Prepared>& prepared) {
  for (const Manifest::Prepared& p : prepared) {
    const Node* node = graph.find(p.operator_name);
    if (node != nullptr && node->publish) continue;
    throw Error(ErrorCode::kRefused,
                "the checkpoint holds output of a sink that this program does not have: " +
                    p.operator_name +
                    "; start the program version that wrote it once more, so that it is published");
  }
}

std::vector<std::string> load_state(const StateChanges& changes, const std::string& backend,
                                    const CheckpointStorage& storage, Manifest& manifest,
                                    SnapshotStore& store) {
  require_backend(manifest, backend);
  restore_state(store, storage, manifest);
  return rename_states(changes, manifest, store);
}

std::vector<std::string> rename_states(const StateChanges& changes, Manifest& manifest,
                                       SnapshotStore& store) {
  std::vector<std::string> done;
  for (const auto& [from, to] : changes.renamed) {
    bool found = has_operator(manifest, store, from);
    if (found) {
      rename_operator(from, to, manifest, store);
    } else {
      found = rename_state(from, to, manifest, store);
    }
    if (found) {
      done.push_back("state of " + from + " goes to " + to + " (--rename-state)");
    } else {
      log(LogLevel::kWarn, "--rename-state " + from + "=" + to +
                               ": ignored, the checkpoint has no state of that name");
    }
  }
  return done;
}

std::set<StateName> unused_state(const Manifest& manifest,
                                 const std::set<std::pair<std::string, std::string>>& unused_parts,
                                 const Graph& graph, const SnapshotStore& store) {
  std::set<StateName> unused;
  for (const StateName& name : parts_of(manifest)) {
    if (graph.find(name.op) == nullptr || unused_parts.contains({name.op, name.state}))
      unused.insert(name);
  }
  const auto stored = store.unused_states();
  unused.insert(stored.begin(), stored.end());
  return unused;
}

std::vector<std::string> drop_states(
    const StateChanges& changes, const Manifest& manifest,
    const std::set<std::pair<std::string, std::string>>& unused_parts, const Graph& graph,
    SnapshotStore& store) {
  std::set<StateName> unused = unused_state(manifest, unused_parts, graph, store);
  const auto stored = store.unused_states();

  std::vector<std::string> done;
  for (const std::string& chosen : changes.dropped) {
    const auto dropped =
        std::erase_if(unused, [&](const StateName& name) { return means(chosen, name); });
    if (dropped == 0) {
      log(LogLevel::kWarn, "--drop-state " + chosen +
                               ": ignored, the checkpoint has no such state that the job lacks");
    } else {
      done.push_back("state of " + chosen + " dropped (--drop-state)");
    }
  }
  if (!unused.empty()) {
    std::set<std::string> names;
    for (const StateName& name : unused)
      names.insert(graph.find(name.op) == nullptr ? name.op : full(name));
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
    Refusal refusal{
        "state_unknown", "",
        "give it its new name: --rename-state=OLD=NEW; or start the program that has it"};
    Refusal::Choice drop{{}, "forgets it: its rows are deleted with the next checkpoint"};
    for (const std::string& name : names) drop.flags.push_back("--drop-state=" + name);
    refusal.choices.push_back(std::move(drop));
    throw RefusedStart(
        std::move(refusal),
        "the checkpoint has state that this program does not have; give it its new name "
        "with --rename-state OLD=NEW, or let it go with --drop-state NAME: " +
            all);
  }
  for (const StateName& name : stored) store.drop_state(name);
  return done;
}

}  // namespace tidemill
