#include "app/page.h"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <zlib.h>

namespace tidemill {
namespace {

std::string unpacked(std::string_view gzip) {
  z_stream stream{};
  inflateInit2(&stream, 16 + MAX_WBITS);
  std::string in(gzip);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  std::string out;
  std::array<char, 4096> part{};
  int result = Z_OK;
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(part.data());
    stream.avail_out = part.size();
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(part.data(), part.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  return result == Z_STREAM_END ? out : "damaged";
}

TEST(Page, ItsFilesAreThereAndTheSameCompressed) {
  for (const char* path : {"/", "/index.html", "/app.js", "/app.css", "/icon.svg"}) {
    SCOPED_TRACE(path);
    const PageFile* file = page_file(path);
    ASSERT_NE(file, nullptr);
    EXPECT_FALSE(file->bytes.empty());
    EXPECT_EQ(unpacked(file->gzip), file->bytes);
  }
  EXPECT_EQ(page_file("/"), page_file("/index.html"));
  EXPECT_NE(page_file("/app.js")->etag, page_file("/app.css")->etag);
}

TEST(Page, NothingElseIsAFile) {
  for (const char* path : {"", "/nothing", "app.js", "/../app/page.h", "/app.js/", "//"})
    EXPECT_EQ(page_file(path), nullptr) << path;
}

std::optional<http::Response> get(const char* path, std::map<std::string, std::string> headers) {
  http::Request request;
  request.path = path;
  request.headers = std::move(headers);
  return page_response(request);
}

TEST(Page, IsCompressedForWhoTakesIt) {
  const auto body = [](const char* accept) {
    return get("/app.js", {{"accept-encoding", accept}})->body;
  };
  const PageFile& file = *page_file("/app.js");
  for (const char* yes : {"gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8", "gzip;q=1"})
    EXPECT_EQ(body(yes), file.gzip) << yes;
  for (const char* no : {"", "identity", "br", "gzip;q=0", "gzip;q=0.0, br", "xgzip"})
    EXPECT_EQ(body(no), file.bytes) << no;
  EXPECT_EQ(get("/app.js", {})->body, file.bytes);
}

TEST(Page, IsNotSentAgainUnchanged) {
  const auto answer = [](const std::string& known) {
    return *get("/app.js", {{"if-none-match", known}});
  };
  const std::string etag(page_file("/app.js")->etag);
  for (const std::string& known : {etag, "W/" + etag, "\"other\", " + etag}) {
    EXPECT_EQ(answer(known).status, 304);
    EXPECT_TRUE(answer(known).body.empty());
  }
  EXPECT_EQ(answer("\"other\"").status, 200);
  EXPECT_FALSE(get("/nothing", {}));
}

}  // namespace
}  // namespace tidemill
