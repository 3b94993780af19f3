// The verbs of the server's machine: `tidemill server`, `tidemill token`.
#pragma once

#include <string>
#include <vector>

namespace tidemill::server {

// Serves until SIGTERM or SIGINT; the jobs go on. Returns the exit code: 0, 1 failed, 2 wrong
// usage.
int server_command(const std::vector<std::string>& words);
// create, list, delete: on the store of a folder, whether a server runs on it or not.
int token_command(const std::vector<std::string>& words);

}  // namespace tidemill::server
