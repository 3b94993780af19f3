#include "app/config.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "engine/base/error.h"

namespace tidemill {
namespace {

std::vector<ConfigKey> keys() {
  return {{"job", "j", ""},         {"checkpoint.interval", "1s", ""},
          {"memory", "256MiB", ""}, {"windows", "5m,1h", ""},
          {"flag", "", ""},         {"pass.*", "", ""},
          {"count", "3", ""},       {"redis.url", "", ""}};
}

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content)
      : path_(std::filesystem::temp_directory_path() /
              ("tidemill_config_test_" + std::to_string(::getpid()) + ".yaml")) {
    std::ofstream(path_) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

std::string error_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kConfig);
    return e.what();
  }
  return "";
}

TEST(Config, FlagWinsOverEnvironmentOverFileOverDefault) {
  Config config(keys());
  EXPECT_EQ(config.duration("checkpoint.interval"), Duration(1000));
  const TemporaryFile file("checkpoint: {interval: 2s}\nwindows: [1m, 2m]\npass: {a.b: x}\n");
  config.read_file(file.path());
  EXPECT_EQ(config.duration("checkpoint.interval"), Duration(2000));
  EXPECT_EQ(config.list("windows"), (std::vector<std::string>{"1m", "2m"}));
  EXPECT_EQ(config.below("pass").at("a.b"), "x");
  std::string variable = "TIDEMILL_CHECKPOINT_INTERVAL=3s";
  char* environment[] = {variable.data(), nullptr};
  config.read_environment(environment);
  EXPECT_EQ(config.duration("checkpoint.interval"), Duration(3000));
  config.set("checkpoint.interval", "4s", "--checkpoint-interval");
  EXPECT_EQ(config.duration("checkpoint.interval"), Duration(4000));
}

TEST(Config, MisspeltVariablesAreTold) {
  Config config(keys());
  std::string misspelt = "TIDEMILL_CHEKPOINT_INTERVAL=3s";
  std::string foreign = "TIDEMILL_PASSWORD_OF_THE_BROKER=x";
  std::string other = "CHECKPOINT_INTERVAL=3s";
  char* environment[] = {misspelt.data(), foreign.data(), other.data(), nullptr};
  config.read_environment(environment);
  EXPECT_EQ(config.duration("checkpoint.interval"), Duration(1000));
  ASSERT_EQ(config.misspelt().size(), 1U);
  EXPECT_EQ(config.misspelt().front(),
            "TIDEMILL_CHEKPOINT_INTERVAL in the environment is no setting; did you mean "
            "TIDEMILL_CHECKPOINT_INTERVAL?");
}

TEST(Config, ListsAndMapsCanBeGivenInOneWord) {
  Config config(keys());
  config.set("windows", "[10s, 2m]", "--set");
  config.set("pass", "{ca: file, id: 7}", "--set");
  EXPECT_EQ(config.list("windows"), (std::vector<std::string>{"10s", "2m"}));
  EXPECT_EQ(config.text("pass.ca"), "file");
  EXPECT_EQ(config.text("pass.id"), "7");
  EXPECT_NE(error_of([&] { config.set("windows", "[10s", "--set"); }).find("windows is no list"),
            std::string::npos);
  EXPECT_NE(error_of([&] { config.set("redis", "{urls: x}", "--set"); }).find("redis.url?"),
            std::string::npos);
}

TEST(Config, UnknownKeysNameTheNearestAndThePlace) {
  Config config(keys());
  EXPECT_NE(error_of([&] {
              config.set("checkpoint.intervall", "1s", "--set");
            }).find("did you mean checkpoint.interval?"),
            std::string::npos);
  EXPECT_NE(error_of([&] { config.set("a.b", "1s", "--set"); }).find("did you mean "),
            std::string::npos)
      << "however far it is";
  const TemporaryFile file("job: x\nmemorry: 1GiB\n");
  const std::string error = error_of([&] { config.read_file(file.path()); });
  EXPECT_NE(error.find("memorry"), std::string::npos) << error;
  EXPECT_NE(error.find(":2"), std::string::npos) << error;
}

TEST(Config, ReadsOneDocumentInWhichNoKeyStandsTwice) {
  Config config(keys());
  const auto refusal = [&](const std::string& yaml) {
    return error_of([&] { config.read_text(yaml, "f.yaml"); });
  };
  EXPECT_NE(refusal("job: x\n---\njob: y\n").find("more than one document: f.yaml:2"),
            std::string::npos);
  EXPECT_NE(refusal("pass: {a: 1, a: 2}\n").find("twice: pass.a (f.yaml:1)"), std::string::npos);
}

TEST(Config, AnAddressInBracketsIsNoList) {
  Config config(keys());
  config.set("job", "[::1]:8081", "--set");
  EXPECT_EQ(config.text("job"), "[::1]:8081");
}

// What a user can write must neither crash nor take all memory or time.
TEST(Config, HostileFilesAreRefused) {
  Config config(keys());
  const auto refusal = [&](const std::string& yaml) {
    return error_of([&] { config.read_text(yaml, "f.yaml"); });
  };
  EXPECT_NE(refusal("pass: &a {b: *a}\n").find("an alias that holds itself"), std::string::npos);
  std::string bomb = "pass:\n  a0: &a0 {x: 1}\n";
  for (int i = 1; i < 40; ++i) {
    const std::string alias = "*a" + std::to_string(i - 1);
    bomb += "  a" + std::to_string(i) + ": &a" + std::to_string(i) + " {x: " + alias +
            ", y: " + alias + "}\n";
  }
  EXPECT_NE(refusal(bomb).find("too many settings"), std::string::npos);
  EXPECT_NE(refusal(std::string(100'000, '[')).find("is not YAML"), std::string::npos);
  EXPECT_NE(refusal(std::string("a\0: \xff\xfe", 6)), "");
}

TEST(Config, WhatIsNoFileIsRefused) {
  Config config(keys());
  const auto refusal = [&](const std::string& path) {
    return error_of([&] { config.read_file(path); });
  };
  EXPECT_NE(refusal("/nowhere/f.yaml").find("cannot read"), std::string::npos);
  EXPECT_NE(refusal("/tmp").find("it is a directory"), std::string::npos);
  EXPECT_NE(refusal("/dev/zero").find("longer than 4 MiB"), std::string::npos);
}

TEST(Config, NumbersOutOfRangeAreRefused) {
  Config config(keys());
  for (const char* text : {"nan", "inf", "-1", "1e300GiB"}) {
    config.set("memory", text, "--set");
    EXPECT_NE(error_of([&] { (void)config.bytes("memory"); }), "") << text;
  }
  for (const char* text : {"-1s", "9223372036854775807ms", "106751991167301d", "36501d"}) {
    config.set("checkpoint.interval", text, "--set");
    EXPECT_NE(error_of([&] { (void)config.duration("checkpoint.interval"); }), "") << text;
  }
}

TEST(Config, PasswordsInAddressesAreNotPrinted) {
  Config config(keys());
  for (const std::string password : {"p:w", "p@w", "p/w", "pw"}) {
    config.set("redis.url", "redis://me:" + password + "@host:6379/0", "--set");
    const std::string printed = config.print();
    EXPECT_EQ(printed.find(password), std::string::npos) << printed;
    EXPECT_NE(printed.find("redis://me:***@host:6379/0"), std::string::npos) << printed;
  }
  // Long enough to overflow the stack of a matcher that recurses.
  config.set("redis.url", "redis://" + std::string(1'000'000, 'x'), "--set");
  EXPECT_GT(config.print().size(), 1'000'000U);
}

TEST(Config, WrongValuesAreErrorsThatNameTheirOrigin) {
  Config config(keys());
  config.set("memory", "lots", "--set");
  EXPECT_NE(error_of([&] { (void)config.bytes("memory"); }).find("--set"), std::string::npos);
  config.set("count", "3x", "--set");
  EXPECT_NE(error_of([&] { (void)config.integer("count", 0, 9); }), "");
  config.set("count", "12", "--set");
  EXPECT_NE(error_of([&] { (void)config.integer("count", 0, 9); }).find("from 0 to 9"),
            std::string::npos);
  EXPECT_NE(error_of([&] { (void)config.required("redis.url"); }).find("TIDEMILL_REDIS_URL"),
            std::string::npos);
}

TEST(Config, MalformedFilesAreErrors) {
  for (const char* text : {"a: [1", "- 1\n- 2\n", "job: {x: 1, x: 2}\n", "\t:", "just text"}) {
    Config config(keys());
    const TemporaryFile file(text);
    EXPECT_NE(error_of([&] { config.read_file(file.path()); }), "") << text;
  }
}

TEST(Config, PrintedSettingsHideSecrets) {
  Config config(keys());
  config.set("redis.url", "redis://me:secret@127.0.0.1:6379/0", "--set");
  const std::string printed = config.print();
  EXPECT_EQ(printed.find("secret"), std::string::npos) << printed;
  EXPECT_NE(printed.find("127.0.0.1"), std::string::npos) << printed;
}

TEST(Units, DurationsAndSizes) {
  EXPECT_EQ(parse_duration("250ms"), Duration(250));
  EXPECT_EQ(parse_duration("24h"), Duration(24h));
  EXPECT_EQ(parse_duration("7d"), Duration(168h));
  EXPECT_EQ(parse_duration("5 m"), std::nullopt);
  EXPECT_EQ(parse_duration(""), std::nullopt);
  EXPECT_EQ(parse_duration("99999999999999999d"), std::nullopt);
  EXPECT_EQ(parse_bytes("256MiB"), 256u << 20);
  EXPECT_EQ(parse_bytes("50MB"), 50'000'000u);
  EXPECT_EQ(parse_bytes("-1"), std::nullopt);
  EXPECT_EQ(print_duration(Duration(90'000)), "90s");
  EXPECT_EQ(print_duration(Duration(3'600'000)), "1h");
}

}  // namespace
}  // namespace tidemill
