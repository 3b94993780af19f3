// What a person says about state when the operators of a job have changed: which of the
// checkpoint's state goes by another name now, and which is to be forgotten. Nothing is forgotten
// unsaid.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/checkpoint/manifest.h"
#include "engine/checkpoint/snapshot_store.h"
#include "engine/checkpoint/storage.h"
#include "engine/graph/graph.h"

namespace tidemill {

// A name is an operator's, or "operator/state". A state's name means those that begin with it and a
// dot too: they belong to it ("timers" and "timers.fired").
struct StateChanges {
  std::vector<std::pair<std::string, std::string>> renamed;  // former, present
  std::vector<std::string> dropped;
};

// Throws Error(kConfig) if the checkpoint was written with another backend of state.
void require_backend(const Manifest& manifest, const std::string& backend);

// Throws Error(kRefused) if the checkpoint prepared output of a sink that the job does not have.
void require_sinks(const Graph& graph, const std::vector<Manifest::Prepared>& prepared);

// These return what to write into the audit trail; a name that means nothing here is warned of.

// Of a start and of its rehearsal: brings the checkpoint's state into `store` and renames it.
// Before any operator is built, and before anything prepared is published. Throws as those that it
// calls: require_backend, restore_state, rename_states.
std::vector<std::string> load_state(const StateChanges& changes, const std::string& backend,
                                    const CheckpointStorage& storage, Manifest& manifest,
                                    SnapshotStore& store);

// Before any operator is built, and before anything prepared is published. Throws Error(kConfig) if
// both names are in the checkpoint, or one is no name of a state.
std::vector<std::string> rename_states(const StateChanges& changes, Manifest& manifest,
                                       SnapshotStore& store);

// What the checkpoint has and no operator of the job has asked for. After all operators are built.
// `unused_parts`: (operator, part) of the manifest that no operator has asked for.
std::set<StateName> unused_state(const Manifest& manifest,
                                 const std::set<std::pair<std::string, std::string>>& unused_parts,
                                 const Graph& graph, const SnapshotStore& store);

// After all operators are built, before the first record. Throws Error(kRefused) naming all state
// that the checkpoint has, the job has not, and nobody has dropped.
std::vector<std::string> drop_states(
    const StateChanges& changes, const Manifest& manifest,
    const std::set<std::pair<std::string, std::string>>& unused_parts, const Graph& graph,
    SnapshotStore& store);

}  // namespace tidemill
