// --from-offsets, --from-time, --until-offsets, --until-time as positions.
#pragma once

#include <string>

#include "app/config.h"
#include "connectors/file/file_source.h"
#include "connectors/kafka/settings.h"

namespace tidemill::features {

// kNone: not given. Throws Error(kConfig) for a text that is no position, or two that exclude each
// other.
kafka::PositionSpec start_position(const Config& config);
kafka::PositionSpec stop_position(const Config& config);

// The same for a file log, whose topic is the directory's name. `flag` names it in messages.
FilePosition file_position(const kafka::PositionSpec& position, const std::string& topic,
                           const std::string& flag);

}  // namespace tidemill::features
