// Rows to stdout, one a line, for trying things out. At-least-once: after a restart rows since the
// last checkpoint come again.
#pragma once

#include "engine/operator/sink.h"

namespace tidemill {

// One subtask writes, so that lines of one key keep their order.
SinkSpec print_sink();

}  // namespace tidemill
