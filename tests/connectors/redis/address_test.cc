#include "connectors/redis/address.h"

#include <gtest/gtest.h>
#include <string>

#include "connectors/redis/client.h"
#include "engine/base/error.h"

namespace tidemill {
namespace {

std::string refusal(const std::string& url) {
  try {
    parse_redis_url(url);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << url;
  return "";
}

TEST(RedisAddress, ReadsTheParts) {
  const RedisAddress plain = parse_redis_url("redis://127.0.0.1:6379/0");
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, 6379);
  EXPECT_EQ(plain.database, 0);
  EXPECT_FALSE(plain.is_tls);
  EXPECT_EQ(plain.password, "");

  const RedisAddress full =
      parse_redis_url("rediss://feature%2Fwriter:p%40ss:w/or@d@cache.example.com:6380/12");
  EXPECT_TRUE(full.is_tls);
  EXPECT_EQ(full.user, "feature/writer");
  EXPECT_EQ(full.password, "p@ss:w/or@d");
  EXPECT_EQ(full.host, "cache.example.com");
  EXPECT_EQ(full.port, 6380);
  EXPECT_EQ(full.database, 12);
  EXPECT_EQ(full.text(), "rediss://cache.example.com:6380/12");
}

TEST(RedisAddress, HasDefaults) {
  EXPECT_EQ(parse_redis_url("redis://cache").text(), "redis://cache:6379/0");
  EXPECT_EQ(parse_redis_url("redis://cache/").text(), "redis://cache:6379/0");
  EXPECT_EQ(parse_redis_url("redis://[::1]").text(), "redis://[::1]:6379/0");
  EXPECT_EQ(parse_redis_url("redis://[::1]:7000/3").text(), "redis://[::1]:7000/3");
}

TEST(RedisAddress, PasswordWithoutUser) {
  EXPECT_EQ(parse_redis_url("redis://:secret@h").password, "secret");
  EXPECT_EQ(parse_redis_url("redis://secret@h").password, "secret");
  EXPECT_EQ(parse_redis_url("redis://:secret@h").user, "");
}

TEST(RedisAddress, SaysWhatIsWrong) {
  EXPECT_NE(refusal("").find("no scheme"), std::string::npos);
  EXPECT_NE(refusal("localhost:6379").find("no scheme"), std::string::npos);
  EXPECT_NE(refusal("http://h").find("unknown scheme http"), std::string::npos);
  EXPECT_NE(refusal("redis://").find("no host"), std::string::npos);
  EXPECT_NE(refusal("redis://:6379").find("no host"), std::string::npos);
  EXPECT_NE(refusal("redis://h:").find("port is empty"), std::string::npos);
  EXPECT_NE(refusal("redis://h:0").find("from 1 to 65535: 0"), std::string::npos);
  EXPECT_NE(refusal("redis://h:65536").find("65536"), std::string::npos);
  EXPECT_NE(refusal("redis://h:6379x").find("6379x"), std::string::npos);
  EXPECT_NE(refusal("redis://h/x").find("database"), std::string::npos);
  EXPECT_NE(refusal("redis://h/-1").find("database"), std::string::npos);
  EXPECT_NE(refusal("redis://h/0?ssl=true").find("query"), std::string::npos);
  EXPECT_NE(refusal("redis://::1:6379").find("brackets"), std::string::npos);
  EXPECT_NE(refusal("redis://[::1").find("not closed"), std::string::npos);
  EXPECT_NE(refusal("redis://[::1]6379").find("behind the IPv6"), std::string::npos);
  EXPECT_NE(refusal("redis://h1:1,h2:2").find("one server only"), std::string::npos)
      << refusal("redis://h1:1,h2:2");
  EXPECT_NE(refusal("redis://u:%zz@h").find("hexadecimal"), std::string::npos);
  EXPECT_NE(refusal("redis://user:@h").find("without a password"), std::string::npos);
}

TEST(RedisAddress, NeverShowsAPassword) {
  for (const char* url : {"redis://u:hunter2@h:99999", "redis://u:hunter2@h/x", "u:hunter2@h",
                          "redis://u:hunter2@h?x=1", "redis://u:hunter2%@h"}) {
    EXPECT_EQ(refusal(url).find("hunter2"), std::string::npos) << url;
  }
}

TEST(RedisServerSettings, TakesThePasswordFromOnePlace) {
  setenv("TIDEMILL_TEST_PASSWORD", "from env", 1);
  EXPECT_EQ(
      redis_address({.url = "redis://h", .user = "u", .password_env = "TIDEMILL_TEST_PASSWORD"})
          .password,
      "from env");
  EXPECT_EQ(
      redis_address({.url = "redis://h", .user = "u", .password_env = "TIDEMILL_TEST_PASSWORD"})
          .user,
      "u");
  unsetenv("TIDEMILL_TEST_PASSWORD");
  EXPECT_THROW(redis_address({.url = "redis://h", .password_env = "TIDEMILL_TEST_PASSWORD"}),
               Error);
  EXPECT_THROW(redis_address({.url = "redis://h", .password_file = "/nowhere/at/all"}), Error);
  EXPECT_THROW(redis_address({.url = "redis://:p@h", .password_file = "/dev/null"}), Error);
  EXPECT_THROW(redis_address({.url = "redis://h", .user = "u"}), Error);
  EXPECT_THROW(redis_address({.url = "redis://h", .ca_file = "ca.pem"}), Error);
}

}  // namespace
}  // namespace tidemill
