// What people see of stored bytes, and the bytes of the keys that they name.
#include "state/value_json.h"

#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/describe.hpp>

#include "engine/base/error.h"
#include "engine/base/time.h"
#include "state/codec.h"
#include "state/key_encoding.h"

namespace tidemill {
namespace {

enum class Colour : std::uint8_t { kRed, kBlue };

struct Place {
  std::string city;
  std::int32_t floor = 0;
  std::optional<double> rate;
  bool operator==(const Place&) const = default;
};
BOOST_DESCRIBE_STRUCT(Place, (), (city, floor, rate))

struct Spot {
  std::string card;
  std::int16_t shop = 0;
};
BOOST_DESCRIBE_STRUCT(Spot, (), (card, shop))

struct Tree {
  int value = 0;
  std::vector<Tree> children;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (value, children))

struct Secretive {};

}  // namespace

template <>
struct Codec<Secretive> {
  static void encode(Bytes& out, const Secretive&) { out += "\x01\xff"; }
  static Secretive decode(ByteReader& in) {
    in.take(2);
    return {};
  }
  static constexpr std::string_view kTypeName = "Secretive";
};

namespace {

template <class T>
std::string json(const T& value) {
  Bytes bytes;
  Codec<T>::encode(bytes, value);
  return value_json(stored_type<T>(), bytes);
}

TEST(ValueJson, ShowsEveryKindOfValue) {
  EXPECT_EQ(json(true), "true");
  EXPECT_EQ(json(std::int8_t{-3}), "-3");
  EXPECT_EQ(json(std::int64_t{1} << 53), "9007199254740992");
  EXPECT_EQ(json(std::numeric_limits<std::uint64_t>::max()), "\"18446744073709551615\"");
  EXPECT_EQ(json(static_cast<unsigned __int128>(-1)),
            "\"340282366920938463463374607431768211455\"");
  EXPECT_EQ(json(static_cast<__int128>(-7)), "-7");
  EXPECT_EQ(json(Colour::kBlue), "1");
  EXPECT_EQ(json(0.5), "0.5");
  EXPECT_EQ(json(std::nan("")), "\"NaN\"");
  EXPECT_EQ(json(EventTime{1000}), "1000");
  EXPECT_EQ(json(EventTime::min()), "\"-Infinity\"");
  EXPECT_EQ(json(Duration(20)), "20");
  EXPECT_EQ(json(std::string("a\"\n\x01é")), "\"a\\\"\\n\\u0001é\"");
  EXPECT_EQ(json(std::string("\xff")), "{\"hex\":\"ff\"}");
  EXPECT_EQ(json(std::vector<int>{1, 2}), "[1,2]");
  EXPECT_EQ(json(std::set<int>{}), "[]");
  EXPECT_EQ(json(std::pair(1, std::string("x"))), "[1,\"x\"]");
  EXPECT_EQ(json(std::map<std::string, int>{{"a", 1}, {"b", 2}}), "{\"a\":1,\"b\":2}");
  EXPECT_EQ(json(std::map<int, bool>{{5, true}}), "{\"5\":true}");
  EXPECT_EQ(json(std::map<std::pair<int, int>, int>{{{1, 2}, 3}}), "[[[1,2],3]]");
  EXPECT_EQ(json(Place{"Ulm", 3, 1.5}), "{\"city\":\"Ulm\",\"floor\":3,\"rate\":1.5}");
  EXPECT_EQ(json(Place{}), "{\"city\":\"\",\"floor\":0,\"rate\":null}");
  EXPECT_EQ(json(Tree{1, {Tree{2, {}}, Tree{3, {Tree{4, {}}}}}}),
            "{\"value\":1,\"children\":[{\"value\":2,\"children\":[]},"
            "{\"value\":3,\"children\":[{\"value\":4,\"children\":[]}]}]}");
}

TEST(ValueJson, SaysWhatItCannotLookInto) {
  EXPECT_EQ(json(std::pair(std::int8_t{1}, Secretive{})),
            "[1,{\"type\":\"Secretive\",\"hex\":\"01ff\"}]");
  EXPECT_EQ(json(std::vector<Secretive>(2)), "[{\"type\":\"Secretive\",\"hex\":\"01ff01ff\"}]");
}

TEST(ValueJson, RefusesWhatIsNoValueOfTheType) {
  EXPECT_THROW((void)value_json(stored_type<std::string>(),
                                "\x05"
                                "ab"),
               Error);
  EXPECT_THROW((void)value_json(stored_type<bool>(), std::string_view("\0\0", 2)), Error);
  EXPECT_THROW((void)value_json(stored_type<std::vector<int>>(), "\xff\xff\xff\x7f"), Error);
}

template <class K>
void expect_key(const std::string& text, const K& key) {
  SCOPED_TRACE(text);
  Bytes bytes;
  Codec<K>::encode(bytes, key);
  EXPECT_EQ(parse_key(stored_type<K>(), text), bytes);
  EXPECT_EQ(stored_key_hash(stored_type<K>(), bytes), key_hash(key));
}

TEST(ValueJson, ReadsKeysAndKnowsTheirHashes) {
  expect_key<std::string>("user 1", "user 1");
  expect_key<std::string>("", "");
  expect_key<std::int64_t>("-5", -5);
  expect_key<std::uint64_t>("18446744073709551615", ~std::uint64_t{0});
  expect_key<std::int8_t>("-128", -128);
  expect_key<std::int32_t>("-70000", -70000);
  expect_key<std::uint16_t>("65535", 65535);
  expect_key<bool>("true", true);
  expect_key<Colour>("1", Colour::kBlue);
  expect_key<EventTime>("1000", EventTime{1000});
  expect_key<std::pair<std::string, int>>(R"(["a\"b", -2])", {"a\"b", -2});
  expect_key<std::tuple<int, bool>>("[1,true]", {1, true});
  Bytes spot;
  Codec<Spot>::encode(spot, {"c", -1});
  EXPECT_EQ(parse_key(stored_type<Spot>(), R"({"card":"c","shop":-1})"), spot);
  EXPECT_EQ(parse_key(stored_type<Spot>(), R"(["c",-1])"), spot);
  EXPECT_EQ(stored_key_hash(stored_type<Spot>(), spot), key_hash(Spot{"c", -1}));
}

TEST(ValueJson, SaysWhatAKeyShouldBe) {
  for (const char* text : {"x", "", "5 ", "3000000000"})
    EXPECT_THROW((void)parse_key(stored_type<std::int32_t>(), text), Error) << text;
  for (const char* text : {"a", "[\"a\"]", "[\"a\",1", "[\"a\",1]]", "[\"a\",1,2]"})
    EXPECT_THROW((void)parse_key(stored_type<std::pair<std::string, int>>(), text), Error) << text;
  EXPECT_THROW((void)parse_key(stored_type<Spot>(), R"({"shop":1,"card":"c"})"), Error);
}

}  // namespace
}  // namespace tidemill
