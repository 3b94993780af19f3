// Who may call what: every route of the table with every role, and what a call that is refused
// leaves behind.
#include "service/server/api.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include <boost/json.hpp>

#include "engine/base/error.h"
#include "service/server/open_api.h"
#include "service/server/promotions.h"
#include "service/server/rate_limit.h"

namespace tidemill::server {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr Role kRoles[] = {Role::kViewer, Role::kOperator, Role::kAdmin};

// A server without jobs.
class ServerApi : public testing::Test {
 protected:
  ServerApi() {
    std::string name = "/tmp/tidemill-api-XXXXXX";
    settings_.folder.path = ::mkdtemp(name.data());
    std::filesystem::create_directories(settings_.folder.binaries());
    store_ = std::make_unique<Store>(settings_.folder.store());
    for (const Role role : kRoles) {
      tokens_[role] = new_token();
      store_->add_token("the-" + std::string(name_of(role)), role, tokens_[role], 1);
    }
    fleet_ = std::make_unique<Fleet>(settings_, *store_,
                                     [](const JobFolder&, const JobQuestion&) -> JobAnswer {
                                       throw Error(ErrorCode::kIo, "nobody listens");
                                     });
    allow({1e6, 1e6});
  }
  ~ServerApi() override {
    promotions_.reset();
    api_.reset();
    service_.reset();
    fleet_.reset();
    store_.reset();
    std::filesystem::remove_all(settings_.folder.path);
  }
  void allow(const ApiSettings& settings, const std::filesystem::path& allow_list = {}) {
    promotions_.reset();
    binaries_ = std::make_unique<Binaries>(settings_.folder, allow_list, false);
    service_ = std::make_unique<Service>(Service{*store_, *fleet_, *binaries_});
    promotions_ = std::make_unique<Promotions>(*service_);
    service_->promotions = promotions_.get();
    api_ = std::make_unique<Api>(settings, *service_);
  }
  // As the HTTP server does it: first the head, then, if nothing was said to that, all of it.
  http::Response send(const std::string& method, const std::string& path,
                      const std::string& token = "", const std::string& body = "") {
    http::Request request;
    request.method = method;
    request.path = path;
    request.peer = "127.0.0.1";
    request.headers["host"] = "127.0.0.1:8090";
    if (!token.empty()) request.headers["authorization"] = "Bearer " + token;
    http::Admission admission = api_->admit(request);
    if (auto* refusal = std::get_if<http::Response>(&admission)) return std::move(*refusal);
    if (auto* upload = std::get_if<http::Upload>(&admission)) {
      std::ofstream(upload->file) << body;
      request.upload = upload->file;
    } else {
      request.body = body;
    }
    http::Response response = api_->answer(request);
    if (!request.upload.empty()) std::filesystem::remove(request.upload);
    return response;
  }
  static std::string header(const http::Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }
  static std::string path_of(const Route& route) {
    std::string path(route.path);
    for (std::size_t at = path.find('{'); at != std::string::npos; at = path.find('{'))
      path.replace(at, path.find('}') + 1 - at, "nobody");
    return path;
  }

  FleetSettings settings_;
  std::map<Role, std::string> tokens_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Binaries> binaries_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Promotions> promotions_;
  std::unique_ptr<Api> api_;
};

TEST_F(ServerApi, EachRoleMayWhatItIsForAndNothingElse) {
  for (const Route& route : routes()) {
    const std::string path = path_of(route);
    SCOPED_TRACE(std::string(route.method) + " " + path);
    const std::string method(route.method);
    if (route.role == Role::kNone) {
      EXPECT_EQ(send(method, path).status, 200);
      continue;
    }
    for (const char* unknown : {"", "tm_0", "admin"}) {
      const http::Response refusal = send(method, path, unknown);
      EXPECT_EQ(refusal.status, 401);
      EXPECT_EQ(header(refusal, "WWW-Authenticate"), "Bearer");
    }
    for (const Role role : kRoles) {
      const int status = send(method, path, tokens_[role]).status;
      if (role < route.role) {
        EXPECT_EQ(status, 403) << name_of(role);
      } else {
        EXPECT_TRUE(status == 200 || status == 404 || status == 422)
            << name_of(role) << " " << status;
      }
    }
  }
}

TEST_F(ServerApi, IsDescribedCallByCall) {
  const auto paths = boost::json::parse(boost::json::string_view(kOpenApi.data(), kOpenApi.size()))
                         .at("paths")
                         .as_object();
  std::set<std::string> described;
  for (const auto& path : paths) {
    for (const auto& method : path.value().as_object()) {
      std::string name(method.key());
      for (char& c : name) c = static_cast<char>(std::toupper(c));
      described.insert(name + " " + std::string(path.key()) + " " +
                       std::string(method.value().at("x-role").as_string()));
    }
  }
  std::set<std::string> routed;
  for (const Route& route : routes())
    routed.insert(std::string(route.method) + " " + std::string(route.path) + " " +
                  std::string(name_of(route.role)));
  EXPECT_EQ(described, routed);
}

TEST_F(ServerApi, SaysWhatAPathTakes) {
  const http::Response refusal = send("PATCH", "/api/v1/jobs", tokens_[Role::kAdmin]);
  EXPECT_EQ(refusal.status, 405);
  EXPECT_EQ(header(refusal, "Allow"), "GET, POST");
  EXPECT_EQ(send("GET", "/api/v1/nothing", tokens_[Role::kAdmin]).status, 404);
  EXPECT_EQ(send("GET", "/api/v1/nothing").status, 401);
  EXPECT_EQ(send("GET", "/api/v1/jobs/", tokens_[Role::kViewer]).status, 404);
  EXPECT_EQ(send("GET", "/nothing").status, 404);
}

TEST_F(ServerApi, AuditsChangesAndRefusedOnesAndNoSecret) {
  send("POST", "/api/v1/tokens", tokens_[Role::kOperator], R"({"name":"x","role":"admin"})");
  EXPECT_EQ(send("POST", "/api/v1/tokens", tokens_[Role::kAdmin], R"({"name":"x","role":"viewer"})")
                .status,
            201);
  send("POST", "/api/v1/jobs", tokens_[Role::kAdmin],
       R"({"name":"a","config":"password: geheim"})");
  send("GET", "/api/v1/jobs", tokens_[Role::kAdmin]);
  const auto rows = store_->audit(1'000'000, 100);
  ASSERT_EQ(rows.size(), 3);
  EXPECT_EQ(rows[2].who, "the-operator");
  EXPECT_EQ(rows[2].status, 403);
  EXPECT_EQ(rows[1].action, "POST /api/v1/tokens");
  EXPECT_EQ(rows[1].status, 201);
  EXPECT_EQ(rows[0].status, 422);
  for (const AuditRow& row : rows) EXPECT_THAT(row.details, Not(HasSubstr("geheim")));
}

TEST_F(ServerApi, ATokenIsShownOnceAndWorksUntilItIsDeleted) {
  const http::Response made =
      send("POST", "/api/v1/tokens", tokens_[Role::kAdmin], R"({"name":"x","role":"viewer"})");
  const std::string token(boost::json::parse(made.body).at("token").as_string());
  EXPECT_EQ(send("GET", "/api/v1/jobs", token).status, 200);
  EXPECT_EQ(send("POST", "/api/v1/tokens", tokens_[Role::kAdmin], R"({"name":"x","role":"viewer"})")
                .status,
            409);
  EXPECT_THAT(send("GET", "/api/v1/tokens", tokens_[Role::kAdmin]).body, Not(HasSubstr(token)));
  EXPECT_EQ(send("DELETE", "/api/v1/tokens/x", tokens_[Role::kAdmin]).status, 200);
  EXPECT_EQ(send("GET", "/api/v1/jobs", token).status, 401);
}

TEST_F(ServerApi, TooManyRequestsOfOneAreNotTakenAndOthersAre) {
  allow({0.001, 3});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(send("GET", "/api/v1/jobs", tokens_[Role::kViewer]).status, 200);
  const http::Response refusal = send("GET", "/api/v1/jobs", tokens_[Role::kViewer]);
  EXPECT_EQ(refusal.status, 429);
  EXPECT_EQ(header(refusal, "Retry-After"), "1");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(send("GET", "/api/v1/jobs", "guess").status, 401);
  EXPECT_EQ(send("GET", "/api/v1/jobs", "guess").status, 429);
  EXPECT_EQ(send("GET", "/api/v1/jobs", tokens_[Role::kOperator]).status, 200);
}

TEST_F(ServerApi, WhatAViewerSendsToChangeIsLimitedToo) {
  allow({0.001, 3});
  for (int i = 0; i < 20; ++i) send("POST", "/api/v1/jobs/x/stop", tokens_[Role::kViewer]);
  EXPECT_LE(store_->audit(1'000'000, 100).size(), 4);
}

TEST_F(ServerApi, BodiesAreReadStrictly) {
  const std::string& admin = tokens_[Role::kAdmin];
  const std::string hash(64, '0');
  for (const auto& [body, status] : std::vector<std::pair<std::string, int>>{
           {"[]", 400},
           {"{", 400},
           {"null", 400},
           {"{}", 422},
           {R"({"name":"a","binary":")" + hash + R"(","config":""})", 404},
           {R"({"name":"a","binary":"x","config":""})", 422},
           {R"({"name":"../a","binary":")" + hash + R"(","config":""})", 422},
           {R"({"name":"a","binary":")" + hash + R"(","config":"","confg":""})", 422},
           {R"({"name":"a","binary":")" + hash + R"(","config":"","memory_limit":"much"})", 422},
           {R"({"name":"a","binary":")" + hash + R"(","config":"","args":["--control","/x"]})",
            422},
           {R"({"name":"a","binary":")" + hash + R"(","config":"","args":["--restore=none"]})",
            422},
           {R"({"name":"a","binary":")" + hash + R"(","config":"","args":["--set","job=b"]})", 422},
           {R"({"name":"a","binary":")" + hash +
                R"(","config":"","args":["--set=sinks.redis.password=x"]})",
            422},
           {R"({"name":"a","binary":")" + hash + R"(","config":"","once":["--parallelism=3"]})",
            422}}) {
    const http::Response refusal = send("POST", "/api/v1/jobs", admin, body);
    EXPECT_EQ(refusal.status, status) << body << refusal.body;
    EXPECT_THAT(refusal.body, HasSubstr("\"next\""));
  }
  EXPECT_TRUE(store_->jobs().empty());
  EXPECT_FALSE(std::filesystem::exists(settings_.folder.path / "jobs"));
}

// The head of a program for this machine, which nobody starts here.
std::string own_program() {
  std::ifstream in("/proc/self/exe", std::ios::binary);
  std::string bytes(4096, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

TEST_F(ServerApi, KeepsProgramsByTheirContentAndNothingElse) {
  const std::string& admin = tokens_[Role::kAdmin];
  for (const std::string& wrong : {std::string(), std::string("#!/bin/sh\n"),
                                   std::string("\x7f"
                                               "ELF")})
    EXPECT_EQ(send("PUT", "/api/v1/binaries", admin, wrong).status, 422);
  const std::string program = own_program();
  const http::Response kept = send("PUT", "/api/v1/binaries", admin, program);
  ASSERT_EQ(kept.status, 201) << kept.body;
  EXPECT_THAT(kept.body, HasSubstr(sha256_hex(program)));
  const auto file = settings_.folder.binary(sha256_hex(program));
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0500));
  EXPECT_EQ(send("PUT", "/api/v1/binaries", admin, program).status, 201) << "again: the same";
}

TEST_F(ServerApi, TakesOnlyWhatIsOnTheList) {
  const auto list = settings_.folder.path / "allowed";
  std::ofstream(list) << std::string(64, 'a') << "  other\n";
  allow({1e6, 1e6}, list);
  const std::string program = own_program();
  EXPECT_EQ(send("PUT", "/api/v1/binaries", tokens_[Role::kAdmin], program).status, 403);
  std::ofstream(list, std::ios::app) << sha256_hex(program) << "  mine\n";
  EXPECT_EQ(send("PUT", "/api/v1/binaries", tokens_[Role::kAdmin], program).status, 201);
}

TEST(RateLimit, FillsUpWithTime) {
  RateLimit limit(10, 2);
  const RateLimit::Time start{};
  EXPECT_TRUE(limit.admit("a", start));
  EXPECT_TRUE(limit.admit("a", start));
  EXPECT_FALSE(limit.admit("a", start));
  EXPECT_TRUE(limit.admit("b", start));
  EXPECT_TRUE(limit.admit("a", start + std::chrono::milliseconds(100)));
  EXPECT_FALSE(limit.admit("a", start + std::chrono::milliseconds(100)));
}

TEST(RateLimit, ForgetsWhoHasNotAskedForLong) {
  RateLimit limit(10, 2);
  const RateLimit::Time start{};
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(limit.admit(std::to_string(i), start));
  EXPECT_FALSE(limit.admit("another", start));
  EXPECT_TRUE(limit.admit("another", start + std::chrono::seconds(1)));
}

}  // namespace
}  // namespace tidemill::server
