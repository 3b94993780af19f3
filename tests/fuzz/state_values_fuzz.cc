// Any bytes as a stored value, of a kind that the first byte chooses: refused as damaged, or read,
// and then written and read again the same.
#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "jobs/feature_pipeline/features.h"
#include "operators/aggregates.h"
#include "operators/collections.h"
#include "operators/combined.h"
#include "state/codec.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using tidemill::Bytes;
using tidemill::ByteView;
using tidemill::Duration;
using tidemill::ErrorCode;
using tidemill::EventTime;
using tidemill::features::UserTotals;
using tidemill::fuzz::accepts;
using tidemill::fuzz::require;

enum class Colour : std::uint8_t { kRed, kBlue };

struct Inner {
  std::optional<std::string> name;
  Colour colour = Colour::kRed;
};
BOOST_DESCRIBE_STRUCT(Inner, (), (name, colour))

struct Everything {
  bool flag = false;
  std::int8_t small = 0;
  std::int64_t whole = 0;
  std::uint32_t natural = 0;
  double real = 0;
  float single = 0;
  EventTime at{};
  Duration length{};
  std::string text;
  std::vector<Inner> many;
  std::map<std::string, std::vector<std::int64_t>> map;
  std::set<std::string> set;
  std::array<std::uint16_t, 3> three{};
  std::pair<std::string, double> pair;
  std::tuple<std::int64_t, std::string> tuple;
};
BOOST_DESCRIBE_STRUCT(Everything, (),
                      (flag, small, whole, natural, real, single, at, length, text, many, map, set,
                       three, pair, tuple))

template <class T>
void decode_and_encode(ByteView bytes) {
  T value;
  if (!accepts({ErrorCode::kCorrupt}, [&] { value = tidemill::decode<T>(bytes); })) return;
  Bytes once;
  tidemill::encode(once, value);
  Bytes twice;
  tidemill::encode(twice, tidemill::decode<T>(once));
  // The entries of a hash table come in an order of its own, which depends on how it grew.
  std::sort(once.begin(), once.end());
  std::sort(twice.begin(), twice.end());
  require(twice == once, "what was written reads back equal");
}

using Kind = void (*)(ByteView);
constexpr Kind kKinds[] = {
    decode_and_encode<Everything>,
    decode_and_encode<tidemill::TrailingKey<UserTotals>>,
    decode_and_encode<tidemill::ExactSum>,
    decode_and_encode<tidemill::Combined<tidemill::Count, tidemill::Sum<std::int64_t>,
                                         tidemill::Min<double>, tidemill::Max<double>>>,
    decode_and_encode<
        tidemill::Combined<tidemill::Mean<double>, tidemill::Variance<double>,
                           tidemill::First<std::string>, tidemill::Last<std::string>>>,
    decode_and_encode<
        tidemill::Combined<tidemill::Distinct<std::string>, tidemill::Collect<std::string, 4>,
                           tidemill::TopN<double, 3>>>,
    decode_and_encode<std::vector<std::vector<std::vector<std::string>>>>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  kKinds[data[0] % std::size(kKinds)](tidemill::fuzz::text_of(data + 1, size - 1));
  return 0;
}
