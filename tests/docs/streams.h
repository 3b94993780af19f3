// What the examples of docs/operators begin with: some streams, and every operator.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "connectors/generator/generator.h"
#include "connectors/print/print_sink.h"
#include "connectors/redis/lookup.h"
#include "operators/aggregates.h"
#include "operators/async_lookup.h"
#include "operators/changelog_io.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "operators/connected_streams.h"
#include "operators/function_state.h"
#include "operators/joined_streams.h"
#include "operators/keyed_stream.h"
#include "operators/sketches.h"
#include "operators/source.h"
#include "operators/window_all.h"

namespace tidemill {

struct Payment {
  std::string card;
  std::string shop;
  double amount = 0;
};
BOOST_DESCRIBE_STRUCT(Payment, (), (card, shop, amount))

struct Click {
  std::string user;
  std::string page;
};
BOOST_DESCRIBE_STRUCT(Click, (), (user, page))

// A row of a table that changes: the newest one of a currency or shop holds.
struct Rate {
  std::string shop;
  double percent = 0;
};
BOOST_DESCRIBE_STRUCT(Rate, (), (shop, percent))

struct Streams {
  std::shared_ptr<GraphBuilder> graph;
  Stream<Payment> payments;
  Stream<Click> clicks;
  Stream<Rate> rates;
};
#define TIDEMILL_STREAMS(streams)                                       \
  [[maybe_unused]] const Stream<Payment> payments = (streams).payments; \
  [[maybe_unused]] const Stream<Click> clicks = (streams).clicks;       \
  [[maybe_unused]] const Stream<Rate> rates = (streams).rates;

struct Example {
  std::string where;
  void (*build)(const Streams&);
};
extern const std::vector<Example> kExamples;

}  // namespace tidemill
