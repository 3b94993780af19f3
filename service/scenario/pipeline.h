// The graph of a scenario: a scripted source, one or two stages, a sink for the rows' text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "connectors/memory/memory_rows.h"
#include "connectors/memory/script.h"
#include "engine/graph/graph.h"
#include "service/scenario/record.h"
#include "service/scenario/scenario.h"

namespace tidemill::scenario {

// The rows go to `rows`, their text as value. `firing_budget`: see StagePlace.
Graph build_graph(const Scenario& scenario, const std::shared_ptr<Script<ScenarioRecord>>& script,
                  std::shared_ptr<MemoryRows> rows, std::size_t firing_budget);

}  // namespace tidemill::scenario
