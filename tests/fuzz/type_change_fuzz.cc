// Any bytes as a stored type and a row of it, read as one of today's types, which the first byte
// chooses: refused, or converted into what today's codec reads.
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <boost/describe.hpp>

#include "state/codec.h"
#include "state/parts.h"
#include "state/type_change.h"
#include "tests/fuzz/fuzz_target.h"

namespace {

using tidemill::ByteReader;
using tidemill::Bytes;
using tidemill::ByteView;
using tidemill::ErrorCode;
using tidemill::EventTime;
using tidemill::fuzz::accepts;
using tidemill::fuzz::require;

enum class Colour : std::uint16_t { kRed, kBlue };

struct Inner {
  std::optional<std::string> name;
  Colour colour = Colour::kRed;
  double real = 0;
};
BOOST_DESCRIBE_STRUCT(Inner, (), (name, colour, real))

struct Everything {
  std::int64_t whole = 7;
  std::optional<std::uint32_t> natural;
  std::string text = "fresh";
  EventTime at{};
  std::vector<Inner> many;
  std::map<std::int64_t, Inner> map;
  std::set<std::int32_t> set;
  std::array<double, 3> three{};
  std::tuple<__int128, Inner> tuple;
  bool flag = true;
};
BOOST_DESCRIBE_STRUCT(Everything, (),
                      (whole, natural, text, at, many, map, set, three, tuple, flag))

struct Tree {
  std::vector<Tree> below;
  std::int32_t added = 1;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (below, added))

// May be stored in parts; the others are refused by name where they are.
struct Total {
  std::int64_t sum = 0;
  Inner last;
  void merge(const Total& later) {
    sum ^= later.sum;
    last = later.last;
  }
};
BOOST_DESCRIBE_STRUCT(Total, (), (sum, last))
static_assert(tidemill::Mergeable<Total> && !tidemill::Mergeable<Everything>);

template <class T>
void read_as(ByteView bytes) {
  ByteReader in(bytes);
  accepts({ErrorCode::kCorrupt, ErrorCode::kConfig}, [&] {
    tidemill::StoredType stored = tidemill::decode_stored_type(in);
    const tidemill::TypeChange change(std::move(stored), tidemill::stored_type<T>(), "fuzz");
    if (!change.needs_conversion()) return;
    const ByteView row = in.take(in.size());
    Bytes converted;
    change.convert(row, converted);
    const auto read = [&] { (void)tidemill::decode_value<T>(converted); };
    constexpr bool refuses_parts = requires { tidemill::Codec<T>::kBeginsWithLayout; }
    &&!tidemill::Mergeable<T>;
    if (refuses_parts && tidemill::is_in_parts(converted)) {
      require(!accepts({ErrorCode::kCorrupt, ErrorCode::kConfig}, read), "no type to merge");
    } else {
      require(accepts({}, read), "what was converted is read");
    }
  });
}

using Kind = void (*)(ByteView);
constexpr Kind kKinds[] = {
    read_as<Everything>,
    read_as<std::map<std::string, Everything>>,
    read_as<Tree>,
    read_as<std::optional<double>>,
    read_as<std::vector<std::optional<Tree>>>,
    read_as<Total>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  kKinds[data[0] % std::size(kKinds)](tidemill::fuzz::text_of(data + 1, size - 1));
  return 0;
}
