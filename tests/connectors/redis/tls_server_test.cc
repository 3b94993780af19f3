// TLS with authorities of the test's own: who is trusted, who is not, and what is said about it.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

#include "connectors/redis/lookup.h"
#include "connectors/redis/writer.h"
#include "tests/connectors/redis/writer_harness.h"

namespace tidemill {
namespace {

const SystemClock kClock;

class RedisTls : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "tidemill-tls-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    make_authority("ca");
    make_authority("other_ca");
    make_certificate("server", "IP:127.0.0.1,DNS:localhost");
    make_certificate("elsewhere", "DNS:cache.example.com");
    make_certificate("client", "DNS:writer");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string file(const std::string& name) const {
    return (folder_ / name).string();
  }

  void openssl(const std::string& arguments) const {
    const std::string command = "openssl " + arguments + " >" + file("openssl.log") + " 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  void make_authority(const std::string& name) const {
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
            name + " -keyout " + file(name + ".key") + " -out " + file(name + ".pem"));
  }
  void make_certificate(const std::string& name, const std::string& subject_names) const {
    std::ofstream(file(name + ".ext")) << "subjectAltName=" << subject_names << "\n";
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
            " -keyout " + file(name + ".key") + " -out " + file(name + ".csr"));
    openssl("x509 -req -days 2 -in " + file(name + ".csr") + " -CA " + file("ca.pem") + " -CAkey " +
            file("ca.key") + " -CAcreateserial -extfile " + file(name + ".ext") + " -out " +
            file(name + ".pem"));
  }

  // The plain port stays, for the test's own questions.
  [[nodiscard]] std::vector<std::string> server_arguments(const std::string& certificate,
                                                          const std::string& clients) const {
    return {"--tls-port",         std::to_string(tls_port_),
            "--tls-cert-file",    file(certificate + ".pem"),
            "--tls-key-file",     file(certificate + ".key"),
            "--tls-ca-cert-file", file("ca.pem"),
            "--tls-auth-clients", clients};
  }
  [[nodiscard]] RedisWriterSettings settings(const std::string& host, const std::string& ca) const {
    RedisWriterSettings settings =
        quick_settings("rediss://" + host + ":" + std::to_string(tls_port_));
    if (!ca.empty()) settings.server.ca_file = file(ca + ".pem");
    return settings;
  }

  std::filesystem::path folder_;
  const std::uint16_t tls_port_ = free_port();
};

TEST_F(RedisTls, WritesToAServerItTrusts) {
  RedisServer server(server_arguments("server", "no"));
  for (const char* host : {"127.0.0.1", "localhost"}) {
    RedisWriter writer(settings(host, "ca"), writer_name(), kClock, nullptr);
    for (int n = 0; n < 2000; ++n) put(writer, std::string(host) + std::to_string(n), n);
    ASSERT_TRUE(flush(writer)) << host;
    EXPECT_EQ(number_of(PlainClient(server.port()).get(std::string(host) + "1999")), 1999);
  }
}

TEST_F(RedisTls, ComesBackAfterTheServer) {
  RedisServer server(server_arguments("server", "no"));
  RedisWriter writer(settings("127.0.0.1", "ca"), writer_name(), kClock, nullptr);
  put(writer, "k", 1);
  ASSERT_TRUE(flush(writer));
  server.kill();
  put(writer, "k", 2);
  writer.poll();
  server.start();
  ASSERT_TRUE(flush(writer));
  EXPECT_EQ(number_of(PlainClient(server.port()).get("k")), 2);
}

TEST_F(RedisTls, LooksUpAtAServerItTrusts) {
  RedisServer server(server_arguments("server", "no"));
  PlainClient(server.port()).ask({"SET", "k", "v"});
  const auto client = redis_lookup({.server = settings("127.0.0.1", "ca").server})(kClock);
  client->request(1, "k");
  std::vector<LookupAnswer<std::string>> answers;
  ASSERT_TRUE(eventually([&] {
    client->poll(answers);
    return !answers.empty();
  }));
  EXPECT_EQ(answers[0].value, "v");
}

TEST_F(RedisTls, RefusesACertificateOfAnotherAuthority) {
  RedisServer server(server_arguments("server", "no"));
  for (const char* ca : {"other_ca", ""}) {  // "": those of the system
    RedisWriter writer(settings("127.0.0.1", ca), writer_name(), kClock, nullptr);
    const auto error = error_of_polling(writer);
    ASSERT_TRUE(error) << ca;
    EXPECT_EQ(error->code(), ErrorCode::kConfig);
    EXPECT_NE(std::string(error->what()).find("not trusted"), std::string::npos) << error->what();
    EXPECT_NE(std::string(error->what()).find("ca_file"), std::string::npos) << error->what();
  }
}

TEST_F(RedisTls, RefusesACertificateForAnotherHost) {
  RedisServer server(server_arguments("elsewhere", "no"));
  for (const char* host : {"127.0.0.1", "localhost"}) {
    RedisWriter writer(settings(host, "ca"), writer_name(), kClock, nullptr);
    const auto error = error_of_polling(writer);
    ASSERT_TRUE(error) << host;
    EXPECT_EQ(error->code(), ErrorCode::kConfig);
    EXPECT_NE(std::string(error->what()).find("not for host " + std::string(host)),
              std::string::npos)
        << error->what();
  }
}

TEST_F(RedisTls, ShowsItsOwnCertificateWhenAsked) {
  RedisServer server(server_arguments("server", "yes"));
  RedisWriterSettings with_certificate = settings("127.0.0.1", "ca");
  with_certificate.server.certificate_file = file("client.pem");
  with_certificate.server.key_file = file("client.key");
  RedisWriter writer(with_certificate, writer_name(), kClock, nullptr);
  put(writer, "k", 1);
  ASSERT_TRUE(flush(writer));

  RedisWriterSettings without = settings("127.0.0.1", "ca");
  without.give_up_after = 300ms;
  RedisWriter nobody(without, writer_name(2), kClock, nullptr);
  put(nobody, "k", 2);
  const auto error = error_of_polling(nobody);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kIo);
}

TEST_F(RedisTls, SaysWhenThePortDoesNotSpeakTls) {
  RedisServer server;
  RedisWriterSettings wrong_port =
      quick_settings("rediss://127.0.0.1:" + std::to_string(server.port()));
  wrong_port.server.connect_timeout = 500ms;
  wrong_port.give_up_after = 1s;
  RedisWriter writer(wrong_port, writer_name(), kClock, nullptr);
  put(writer, "k", 1);
  const auto error = error_of_polling(writer);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ErrorCode::kIo);
}

TEST_F(RedisTls, NamesTheFileItCannotUse) {
  const auto refusal = [&](const RedisWriterSettings& with) -> std::string {
    try {
      RedisWriter writer(with, writer_name(), kClock, nullptr);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kConfig);
      return error.what();
    }
    return "";
  };
  RedisWriterSettings with = settings("127.0.0.1", "ca");
  with.server.ca_file = file("missing.pem");
  EXPECT_NE(refusal(with).find("missing.pem"), std::string::npos);
  with.server.ca_file = file("ca.key");  // no certificate
  EXPECT_NE(refusal(with).find("ca_file"), std::string::npos);
  with = settings("127.0.0.1", "ca");
  with.server.certificate_file = file("client.pem");
  with.server.key_file = file("server.key");  // of another certificate
  EXPECT_NE(refusal(with).find("server.key"), std::string::npos);
}

}  // namespace
}  // namespace tidemill
