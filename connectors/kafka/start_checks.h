// What would lose or double data later, or stop the job at a bad moment, looked for before the
// first record: settings of the cluster and of the topics against those of the job
// (docs/exactly-once.md 1.3). Positions are checked where they are settled (source_splits.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "connectors/kafka/commit_protocol.h"
#include "connectors/kafka/settings.h"

namespace tidemill::kafka {

struct StartFinding {
  enum class Weight { kError, kWarning };
  Weight weight = Weight::kWarning;
  std::string text;  // what, where, what to do
};

// `sources` by operator name. A topic whose configuration may not be read is a warning. Throws
// Error(kIo) if no broker answers.
std::vector<StartFinding> check_start(const CommitSettings& commit,
                                      const std::vector<SinkSettings>& sinks,
                                      const std::map<std::string, SourceSettings>& sources);

}  // namespace tidemill::kafka
