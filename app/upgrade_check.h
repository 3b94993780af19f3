// --describe-state and --check-upgrade: what state this program has, and whether it can go on from
// a checkpoint that another version has written. Its operators are built as a restore builds them,
// by the same code, over the checkpoint's list of states without their rows; sources, sinks and
// clients are not: nothing is connected to, nothing is written.
#pragma once

#include <cstdint>
#include <string>

#include "app/environment.h"
#include "engine/checkpoint/state_changes.h"

namespace tidemill {

// Prints {version, job, key_groups, operators: [{operator, kind, states: [{state, kind, key,
// value}], parts: [name]}]}. Returns the exit code.
int describe_state(const Environment& env, std::uint32_t key_groups);

// Prints {checkpoint, fits, exit, reason, kept, changed, added, lost, dropped, refused} (shapes:
// docs/decisions/0004_operate.md). Returns the exit code that a restore would end with for its
// state: 0, or that of `reason`. `checkpoint`: an id, its number, "latest" of the job's own, or a
// folder. Throws Error as a restore would if there is none, or it is damaged.
int check_upgrade(const Environment& env, const StateChanges& changes, const std::string& backend,
                  const std::string& checkpoint);

}  // namespace tidemill
