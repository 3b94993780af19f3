// Events as lines of text, as their published hashes are made: fields joined by `|` behind P, A or
// B.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bench/nexmark/event.h"
#include "bench/nexmark/generator.h"

namespace tidemill::nexmark {

void append_event(std::string& out, const Person& person);
void append_event(std::string& out, const Auction& auction);
void append_event(std::string& out, const Bid& bid);

// Calls `take` with the line (without its end) of each of the first `events` events, in the order
// of arrival. Tells how far it is on stderr if it takes more than a second.
void for_each_line(const GeneratorSettings& settings, std::int64_t events,
                   const std::function<void(std::string_view)>& take);

// FNV-1a 64 of all lines, each with its newline.
std::uint64_t hash_events(const GeneratorSettings& settings, std::int64_t events);

}  // namespace tidemill::nexmark
