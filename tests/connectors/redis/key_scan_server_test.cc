// Keys and rows below a prefix, read by those who compare them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "connectors/redis/key_scan.h"
#include "engine/base/error.h"
#include "tests/connectors/redis/redis_server.h"

namespace tidemill {
namespace {

const SystemClock kClock;

class KeyScanOnServer : public testing::Test {
 protected:
  KeyScanOnServer() : client_(server_.port()) { settings_.url = server_.url(); }

  [[nodiscard]] std::map<std::string, std::optional<std::string>> read(
      const std::vector<std::string>& keys) const {
    std::map<std::string, std::optional<std::string>> found;
    read_redis_rows(
        settings_, "f*[:", keys,
        [&](const std::string& key, std::optional<std::string_view> row) {
          found[key] = row ? std::optional<std::string>(*row) : std::nullopt;
        },
        kClock);
    return found;
  }
  [[nodiscard]] std::multiset<std::string> keys() const {
    std::multiset<std::string> found;
    scan_redis_keys(
        settings_, "f*[:", [&](std::string_view key) { found.emplace(key); }, kClock);
    return found;
  }

  RedisServer server_;
  PlainClient client_;
  RedisServerSettings settings_;
};

TEST_F(KeyScanOnServer, FindsKeysOfAllTypesBelowThePrefixAndNoOthers) {
  client_.ask({"SET", "f*[:a", "1"});
  client_.ask({"LPUSH", "f*[:list", "1"});
  client_.ask({"SET", std::string("f*[:\xff\0", 6), "2"});
  client_.ask({"SET", "fx[:b", "1"});
  client_.ask({"SET", "f*[", "1"});
  EXPECT_EQ(keys(), (std::multiset<std::string>{"a", "list", std::string("\xff\0", 2)}));
}

TEST_F(KeyScanOnServer, ReadsWhatIsAskedForAndSaysWhatIsNoRow) {
  std::vector<std::string> asked = {"list", "none"};
  client_.ask({"LPUSH", "f*[:list", "1"});
  for (int i = 0; i < 1200; ++i) {  // of more than one round
    asked.push_back(std::to_string(i));
    client_.ask({"SET", "f*[:" + std::to_string(i), "row " + std::to_string(i)});
  }
  client_.ask({"SET", "f*[:not asked", "1"});
  auto found = read(asked);
  EXPECT_EQ(found.size(), asked.size());
  EXPECT_THAT(found["list"].value_or(""), testing::StartsWith("WRONGTYPE"));
  EXPECT_EQ(found["none"], std::nullopt);
  for (int i = 0; i < 1200; ++i) EXPECT_EQ(found[std::to_string(i)], "row " + std::to_string(i));
  EXPECT_TRUE(read({}).empty());
}

TEST_F(KeyScanOnServer, WhoMayNotReadIsToldSo) {
  client_.ask({"SET", "f*[:a", "1"});
  client_.ask(
      {"ACL", "SETUSER", "reader", "on", ">secret", "~*", "-@all", "+scan", "+info", "+select"});
  settings_.url = server_.url("reader:secret@");
  EXPECT_EQ(keys().size(), 1);
  try {
    (void)read({"a"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    EXPECT_THAT(error.what(), testing::HasSubstr("Redis refuses GET"));
  }
}

}  // namespace
}  // namespace tidemill
