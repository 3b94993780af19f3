// Any bytes as a record: never a crash, no byte read beyond it, and good only if Boost.JSON,
// written independently, agrees. A record that was read must also survive being written and read
// again.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/json/src.hpp>

#include "connectors/formats/json_reader.h"
#include "connectors/formats/json_writer.h"
#include "engine/base/time.h"

namespace {

using tidemill::Decoded;
using tidemill::EventTime;
using tidemill::JsonFault;

// All optional, so that a record is bad only for what it holds. One letter each, so that a fuzzer
// finds them.
struct Fields {
  std::optional<bool> b;
  std::optional<std::int64_t> i;
  std::optional<std::uint64_t> u;
  std::optional<double> d;
  std::optional<std::string> s;
  std::optional<EventTime> t;
};
BOOST_DESCRIBE_STRUCT(Fields, (), (b, i, u, d, s, t))

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Exactly the bytes of the record, so that AddressSanitizer sees one beyond.
Decoded decode_alone(tidemill::JsonDecoder<Fields>& decoder, std::string_view record, Fields& out) {
  const std::vector<char> buffer(record.begin(), record.end());
  return decoder.decode({buffer.data(), record.size()}, out);
}

bool is_about_json(JsonFault fault) {
  return fault == JsonFault::kMalformed || fault == JsonFault::kNotUtf8 ||
         fault == JsonFault::kNotObject;
}

// The same but for NaN, which JSON cannot hold: the reader never makes one.
bool same(const Fields& a, const Fields& b) {
  return a.b == b.b && a.i == b.i && a.u == b.u && a.d == b.d && a.s == b.s && a.t == b.t;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static tidemill::JsonDecoder<Fields> decoder;
  static const tidemill::JsonEncoder<Fields> encoder;
  const std::string_view record(reinterpret_cast<const char*>(data), size);

  Fields fields;
  const Decoded decoded = decoder.decode(record, fields);
  require(!decoded.text().empty(), "every verdict has words");
  require(decoded.position == Decoded::kNowhere || decoded.position <= size,
          "the place of a fault lies in the record");

  Fields alone;
  require(static_cast<bool>(decode_alone(decoder, record, alone)) == static_cast<bool>(decoded),
          "the verdict is of the record alone");
  if (decoded) require(same(alone, fields), "what was read is of the record alone");

  boost::json::parse_options options;
  options.max_depth = 300;
  boost::json::error_code error;
  const boost::json::value parsed = boost::json::parse(record, error, {}, options);
  // Boost.JSON turns away exponents beyond 32 bits, which are JSON all the same.
  if (error == boost::json::error::exponent_overflow) return 0;
  if (decoded) require(!error && parsed.is_object(), "what was read is a JSON object");
  if (!error && parsed.is_object())
    require(!is_about_json(decoded.fault), "a JSON object is not refused as none");

  if (!decoded) return 0;
  std::string text;
  encoder.encode(fields, text);
  Fields again;
  require(static_cast<bool>(decoder.decode(text, again)), "what was written can be read");
  require(same(again, fields), "what was written reads back equal");
  return 0;
}
