// The input in memory as a source: partition i of the input belongs to subtask i.
#pragma once

#include <memory>

#include "bench/nexmark/input.h"
#include "bench/nexmark/queries/events.h"
#include "operators/graph_builder.h"

namespace tidemill::nexmark {

// Rows of each kind that something reads are shown where they lie, or copied into batches if one of
// their readers keeps rows; then comes the watermark, the greatest time read minus `disorder`.
// `input` outlives the job, which has as many subtasks as the input has partitions. Knows nothing
// of checkpoints: a run begins at the beginning.
Events read_memory(const std::shared_ptr<GraphBuilder>& graph, const Input& input,
                   Duration disorder);

}  // namespace tidemill::nexmark
