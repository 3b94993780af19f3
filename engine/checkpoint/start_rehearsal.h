// A start up to its first record that changes nothing: what a real one would begin with, or why it
// would be refused and what goes on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/refusal.h"
#include "engine/checkpoint/supervisor.h"

namespace tidemill {

struct StartRehearsal {
  std::string begins;  // "last committed checkpoint 12-…"; empty: it would not start
  // Why not.
  std::string error;
  ErrorCode code = ErrorCode::kRefused;
  std::optional<Refusal> refusal;  // its choices are whole: each checkpoint that can be taken

  std::optional<CommitRecord> record;  // as far as it can be read
  struct Point {
    CheckpointName name;
    std::string consequence;  // of going on from it; empty: it cannot be used
  };
  std::vector<Point> points;  // newest first
};

// Decides by the same code as Supervisor::run, and builds the same operators, sources and sinks.
// Nobody is fenced, so that what is found may change while another instance runs; on this machine
// none does, as the folder is locked meanwhile. `deployment`: its store works in a folder that is
// of no use to anybody else. Never throws an Error: it is in the result.
[[nodiscard]] StartRehearsal rehearse(const SupervisorSettings& settings, const Graph& graph,
                                      const Deployment& deployment, MetricRegistry& metrics,
                                      const Clock& clock);

}  // namespace tidemill
