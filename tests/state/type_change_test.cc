// What a former version stored is read with the types of today, or refused by name.
#include "state/type_change.h"

#include <array>
#include <gtest/gtest.h>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <boost/describe.hpp>

#include "state/codec.h"

namespace tidemill {
namespace {

// Each version of a type is a type of its own here.
namespace v1 {
struct Place {
  std::string city;
  std::int32_t floor = 0;
};
BOOST_DESCRIBE_STRUCT(Place, (), (city, floor))
struct Seen {
  std::string country;
  EventTime at{};
  std::int8_t times = 0;
  float share = 0;
  Place last;
  std::vector<Place> places;
  std::map<std::string, Place> by_name;
  std::optional<Place> maybe;
  std::array<Place, 2> two;
  std::tuple<std::int64_t, Place> tuple;
};
BOOST_DESCRIBE_STRUCT(Seen, (),
                      (country, at, times, share, last, places, by_name, maybe, two, tuple))
}  // namespace v1

namespace v2 {
struct Place {
  bool is_home = true;
  std::int64_t floor = 0;
  std::optional<std::string> city;
  friend bool operator==(const Place&, const Place&) = default;
};
BOOST_DESCRIBE_STRUCT(Place, (), (is_home, floor, city))
struct Seen {
  Place last;
  std::int64_t times = 0;
  double share = 0;
  std::string added = "new";
  std::vector<Place> places;
  std::map<std::string, Place> by_name;
  std::optional<Place> maybe;
  std::array<Place, 2> two;
  std::tuple<std::int64_t, Place> tuple;
  EventTime at{};
};
BOOST_DESCRIBE_STRUCT(Seen, (), (last, times, share, added, places, by_name, maybe, two, tuple, at))
}  // namespace v2

template <class To, class From>
To read_as(const From& value) {
  const TypeChange change(stored_type<From>(), stored_type<To>(), "op/state");
  const Bytes stored = encode(stored_type<From>());
  ByteReader in(stored);
  // As it comes from a checkpoint, without what only the program knows.
  const TypeChange restored(decode_stored_type(in), stored_type<To>(), "op/state");
  Bytes bytes;
  encode(bytes, value);
  EXPECT_EQ(change.needs_conversion(), restored.needs_conversion());
  if (!restored.needs_conversion()) return decode<To>(bytes);
  Bytes now;
  restored.convert(bytes, now);
  return decode<To>(now);
}

template <class From, class To>
bool is_converted() {
  return TypeChange(stored_type<From>(), stored_type<To>(), "op/state").needs_conversion();
}

template <class From, class To>
std::string refusal() {
  const Bytes stored = encode(stored_type<From>());
  ByteReader in(stored);
  try {
    const TypeChange change(decode_stored_type(in), stored_type<To>(), "op/state");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kConfig);
    const std::string all = e.what();
    const auto at = all.find("op/state");
    return at == std::string::npos ? all : all.substr(at);
  }
  return "none";
}

TEST(TypeChange, FieldsAreAddedRemovedMovedAndWidenedWhereverTheStructIs) {
  const v1::Place there{"Oslo", -3};
  const v2::Place as{true, -3, "Oslo"};
  const v1::Seen seen{"SE",           EventTime{-7},  -5,    0.25F,          there,
                      {there, there}, {{"a", there}}, there, {there, there}, {9, there}};
  const auto now = read_as<v2::Seen>(seen);
  EXPECT_EQ(now.last, as);
  EXPECT_EQ(now.times, -5);
  EXPECT_EQ(now.share, 0.25);
  EXPECT_EQ(now.added, "new");
  EXPECT_EQ(now.places, (std::vector<v2::Place>{as, as}));
  EXPECT_EQ(now.by_name, (std::map<std::string, v2::Place>{{"a", as}}));
  EXPECT_EQ(now.maybe, as);
  EXPECT_EQ(now.two, (std::array<v2::Place, 2>{as, as}));
  EXPECT_EQ(std::get<1>(now.tuple), as);
  EXPECT_EQ(now.at, EventTime{-7});
}

namespace renamed {
struct Place {
  std::string town;
  std::int32_t level = 0;
};
BOOST_DESCRIBE_STRUCT(Place, (), (town, level))
}  // namespace renamed

}  // namespace

template <>
struct StoredNames<renamed::Place> {
  static constexpr StoredName kNames[] = {{.member = "town", .stored = "city"},
                                          {.member = "level", .stored = "floor"}};
};

namespace {

TEST(TypeChange, ARenamedMemberKeepsTheNameItIsStoredUnder) {
  EXPECT_FALSE((is_converted<v1::Place, renamed::Place>()));
  EXPECT_EQ(read_as<renamed::Place>(v1::Place{"Oslo", 3}).town, "Oslo");
  EXPECT_EQ(encode(stored_type<v1::Place>()), encode(stored_type<renamed::Place>()));
}

struct Longer {
  std::string city;
  std::int64_t floor = 0;
  std::int32_t added = 4;
};
BOOST_DESCRIBE_STRUCT(Longer, (), (city, floor, added))

TEST(TypeChange, WhatTheCodecReadsAnywayIsNotConverted) {
  EXPECT_FALSE((is_converted<v1::Place, Longer>()));
  EXPECT_FALSE((is_converted<std::vector<v1::Place>, std::vector<Longer>>()));
  EXPECT_FALSE((is_converted<std::set<std::int16_t>, std::set<std::int64_t>>()));
  EXPECT_EQ(read_as<Longer>(v1::Place{"Oslo", -70000}).floor, -70000);
  EXPECT_EQ(read_as<Longer>(v1::Place{"Oslo", 1}).added, 4);
}

enum class Small : std::uint8_t { kA = 200 };
enum class Large : std::uint32_t { kA = 200 };

TEST(TypeChange, NumbersGrow) {
  for (const int i : {-128, -1, 0, 1, 127}) {
    const auto n = static_cast<std::int8_t>(i);
    EXPECT_EQ(read_as<std::int16_t>(n), i);
    EXPECT_EQ(read_as<std::int64_t>(n), i);
    EXPECT_EQ(read_as<__int128>(n) == i, true);
    EXPECT_EQ(read_as<std::int64_t>(static_cast<std::int32_t>(i) * 1000000), i * 1000000);
    EXPECT_EQ(read_as<__int128>(static_cast<std::int64_t>(i) << 50) == __int128{i} << 50, true);
  }
  EXPECT_EQ(read_as<std::uint64_t>(std::uint8_t{255}), 255U);
  EXPECT_EQ(read_as<unsigned __int128>(~std::uint64_t{0}) == ~std::uint64_t{0}, true);
  EXPECT_EQ(read_as<Large>(Small::kA), Large::kA);
  EXPECT_EQ(read_as<double>(0.1F), double{0.1F});
  EXPECT_EQ(read_as<std::optional<double>>(0.5F), 0.5);
  EXPECT_EQ(read_as<std::optional<std::string>>(std::string("a")), "a");
}

struct Narrower {
  std::string city;
  std::int16_t floor = 0;
};
BOOST_DESCRIBE_STRUCT(Narrower, (), (city, floor))
struct Other {
  std::vector<Narrower> places;
  std::string at;
};
BOOST_DESCRIBE_STRUCT(Other, (), (places, at))
struct Once {
  std::vector<v1::Place> places;
  EventTime at{};
};
BOOST_DESCRIBE_STRUCT(Once, (), (places, at))

TEST(TypeChange, AnythingElseIsRefusedNamingFieldAndBothTypes) {
  EXPECT_EQ((refusal<Once, Other>()),
            "op/state field places[].floor is int32, the program wants int16: numbers may only "
            "become wider");
  EXPECT_EQ((refusal<std::map<std::string, EventTime>, std::map<std::string, std::int64_t>>()),
            "op/state field [value] is EventTime, the program wants int64");
  EXPECT_EQ((refusal<std::string, std::vector<std::string>>()),
            "op/state is text, the program wants vector<text>");
  EXPECT_EQ((refusal<std::uint32_t, std::int64_t>()),
            "op/state is uint32, the program wants int64: numbers may only become wider");
  EXPECT_EQ((refusal<double, float>()),
            "op/state is double, the program wants float: numbers may only become wider");
  EXPECT_EQ((refusal<std::optional<std::string>, std::string>()),
            "op/state is optional<text>, the program wants text");
  EXPECT_EQ((refusal<std::tuple<std::int64_t, bool>, std::tuple<std::int64_t>>()),
            "op/state is tuple<int64, bool>, the program wants tuple<int64>");
  EXPECT_EQ((refusal<std::array<bool, 2>, std::array<bool, 3>>()),
            "op/state is array<bool, 2>, the program wants array<bool, 3>");
  EXPECT_EQ((refusal<Small, std::uint8_t>()), "op/state is enum of uint8, the program wants uint8");
  EXPECT_EQ((refusal<v1::Place, std::int64_t>()),
            "op/state is struct{city: text, floor: int32}, the program wants int64");
}

TEST(TypeChange, WhatOrdersAMapOrSetKeepsItsFields) {
  EXPECT_EQ((read_as<std::set<std::int32_t>>(std::set<std::int8_t>{-1, 3})),
            (std::set<std::int32_t>{-1, 3}));
  const StoredType stored = stored::of(StoredType::Kind::kSet, stored_type<v1::Place>());
  const StoredType wanted = stored::of(StoredType::Kind::kSet, stored_type<v2::Place>());
  EXPECT_THROW(TypeChange(stored, wanted, "op/state"), Error);
}

struct Tree {
  std::int64_t n = 0;
  std::vector<Tree> below;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (n, below))
struct LongerTree {
  std::int64_t n = 0;
  std::vector<LongerTree> below;
  std::string added = "x";
};
BOOST_DESCRIBE_STRUCT(LongerTree, (), (n, below, added))
struct OtherTree {
  std::string added;
  std::int64_t n = 0;
  std::vector<OtherTree> below;
};
BOOST_DESCRIBE_STRUCT(OtherTree, (), (added, n, below))
struct Forest {
  std::int64_t gone = 0;
  Tree tree;
  Tree gone_too;
};
BOOST_DESCRIBE_STRUCT(Forest, (), (gone, tree, gone_too))
struct LaterForest {
  LongerTree tree;
};
BOOST_DESCRIBE_STRUCT(LaterForest, (), (tree))

TEST(TypeChange, AStructThatHoldsItself) {
  const Tree tree{1, {{2, {}}, {3, {{4, {}}}}}};
  const auto longer = read_as<LongerTree>(tree);
  EXPECT_EQ(longer.below[1].below[0].n, 4);
  EXPECT_EQ(longer.below[1].added, "x");
  EXPECT_EQ((refusal<Tree, OtherTree>()),
            "op/state is struct{n: int64, below: vector<itself>}, the program wants struct{added: "
            "text, n: int64, below: vector<itself>}: a struct that holds itself may only have more "
            "fields at its end");
  EXPECT_EQ(read_as<LaterForest>(Forest{5, tree, tree}).tree.below[1].below[0].n, 4);
}

struct Own {
  std::string text;
};
template <class T>
struct Bag {
  std::vector<T> values;
};

}  // namespace

template <>
struct Codec<Own> {
  static void encode(Bytes& out, const Own& value) { append_sized(out, value.text); }
  static Own decode(ByteReader& in) { return {std::string(in.sized())}; }
};
template <class T>
struct Codec<Bag<T>> {
  static void encode(Bytes& out, const Bag<T>& bag) {
    Codec<std::vector<T>>::encode(out, bag.values);
  }
  static Bag<T> decode(ByteReader& in) { return {Codec<std::vector<T>>::decode(in)}; }
  static StoredType stored_type() {
    return stored::own("Bag", codec::pass_over<Bag<T>>, {tidemill::stored_type<T>()});
  }
};

namespace {

struct WithOwn {
  std::int8_t number = 0;
  Own own;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(WithOwn, (), (number, own, text))
struct OwnKept {
  std::int64_t number = 0;
  std::string added;
  Own own;
};
BOOST_DESCRIBE_STRUCT(OwnKept, (), (number, added, own))
struct OwnGone {
  std::int8_t number = 0;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(OwnGone, (), (number, text))

TEST(TypeChange, TypesWithCodecsOfTheirOwnAreKeptWhole) {
  EXPECT_EQ(read_as<OwnKept>(WithOwn{7, {"mine"}, "text"}).own.text, "mine");
  EXPECT_EQ(read_as<OwnKept>(WithOwn{7, {"mine"}, "text"}).number, 7);
  EXPECT_NE((refusal<WithOwn, OwnGone>()).find("field own is "), std::string::npos);
  EXPECT_NE((refusal<WithOwn, OwnGone>()).find("which has a codec of its own: keep it"),
            std::string::npos);
  EXPECT_NE((refusal<Own, WithOwn>()).find("::Own, the program wants struct{"), std::string::npos);
  EXPECT_FALSE((is_converted<Bag<v1::Place>, Bag<Longer>>()));
  EXPECT_EQ((refusal<Bag<v1::Place>, Bag<v2::Place>>()),
            "op/state field city is text, the program wants optional<text>: it lies within a type "
            "that has a codec of its own");
}

// As a value that may have an end is written: with it, or as the value alone.
template <class V>
struct Ending {
  V value{};
  std::int64_t end = 0;  // 0: none
};

}  // namespace

template <class V>
struct Codec<Ending<V>> {
  static void encode(Bytes& out, const Ending<V>& ending) {
    Codec<V>::encode(out, ending.value);
    if (ending.end != 0) Codec<std::int64_t>::encode(out, ending.end);
  }
  static Ending<V> decode(ByteReader& in) {
    Ending<V> ending{Codec<V>::decode(in)};
    if (!in.empty()) ending.end = Codec<std::int64_t>::decode(in);
    return ending;
  }
  static StoredType stored_type() {
    return stored::of(StoredType::Kind::kTail, tidemill::stored_type<V>(),
                      tidemill::stored_type<std::int64_t>());
  }
};

namespace {

TEST(TypeChange, WhatIsBehindAValueComesAndGoes) {
  const v1::Place there{"Oslo", -3};
  const v2::Place as{true, -3, "Oslo"};
  for (const std::int64_t end : {0, 99}) {
    const auto now = read_as<Ending<v2::Place>>(Ending<v1::Place>{there, end});
    EXPECT_EQ(now.value, as);
    EXPECT_EQ(now.end, end);
    EXPECT_EQ(read_as<v2::Place>(Ending<v1::Place>{there, end}), as);
    EXPECT_EQ(read_as<v1::Place>(Ending<v1::Place>{there, end}).floor, -3);
  }
  EXPECT_FALSE((is_converted<v1::Place, Ending<v1::Place>>()));
  EXPECT_EQ(read_as<Ending<v2::Place>>(there).value, as);
  EXPECT_EQ(read_as<Ending<v2::Place>>(there).end, 0);
}

TEST(TypeChange, DamagedRowsAreRefused) {
  const v1::Place there{"Oslo", -3};
  const v1::Seen seen{"SE",           EventTime{-7},  -5,    0.25F,          there,
                      {there, there}, {{"a", there}}, there, {there, there}, {9, there}};
  const TypeChange change(stored_type<v1::Seen>(), stored_type<v2::Seen>(), "op/state");
  Bytes bytes;
  encode(bytes, seen);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Bytes out;
    EXPECT_THROW(change.convert(ByteView(bytes).substr(0, size), out), Error) << size;
  }
  Bytes out;
  EXPECT_THROW(change.convert(bytes + "x", out), Error);
}

TEST(TypeChange, DamagedTypesAreRefused) {
  const Bytes whole = encode(stored_type<v2::Seen>());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ByteReader in(ByteView(whole).substr(0, size));
    EXPECT_THROW(decode_stored_type(in), Error) << size;
  }
  const Bytes deep(100'000, '\x0B');
  ByteReader in(deep);
  EXPECT_THROW(decode_stored_type(in), Error);
}

}  // namespace
}  // namespace tidemill
