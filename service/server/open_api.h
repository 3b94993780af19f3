// The OpenAPI 3.1 document of the server's API (openapi.json beside this file, built in).
#pragma once

#include <string_view>

namespace tidemill::server {

extern const std::string_view kOpenApi;

}  // namespace tidemill::server
