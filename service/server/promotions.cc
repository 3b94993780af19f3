#include "service/server/promotions.h"

#include <boost/json.hpp>

#include "engine/base/error.h"
#include "engine/base/log.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

constexpr auto kPause = std::chrono::milliseconds(200);
// Open ones are among the newest: a job has one at a time.
constexpr std::int64_t kLookedAt = 1000;

json::object offsets_json(const SplitOffsets& offsets) {
  json::object object;
  for (const auto& [split, offset] : offsets) object[split] = offset;
  return object;
}

json::object details_of(const Promotion& p) {
  return {{"hold", offsets_json(p.hold)},
          {"cut", offsets_json(p.cut)},
          {"savepoint", p.savepoint},
          {"checkpoint", p.checkpoint},
          {"replaced_version", p.replaced_version},
          {"taken_over", p.is_taken_over},
          {"trouble", p.trouble}};
}

SplitOffsets offsets_in(const json::value& value) {
  SplitOffsets offsets;
  for (const auto& split : value.as_object())
    offsets[std::string(split.key())] = split.value().to_number<std::int64_t>();
  return offsets;
}

Promotion read(const PromotionRow& row) {
  const auto phase = promotion_phase(row.phase);
  try {
    const json::object details = json::parse(row.details).as_object();
    if (!phase) throw std::invalid_argument("phase " + row.phase);
    Promotion p;
    p.id = row.id;
    p.job = row.job;
    p.replay = row.replay;
    p.phase = *phase;
    p.hold = offsets_in(details.at("hold"));
    p.cut = offsets_in(details.at("cut"));
    p.savepoint = std::string(details.at("savepoint").as_string());
    p.checkpoint = std::string(details.at("checkpoint").as_string());
    p.replaced_version = details.at("replaced_version").to_number<std::int64_t>();
    p.is_taken_over = details.at("taken_over").as_bool();
    p.trouble = std::string(details.at("trouble").as_string());
    return p;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kCorrupt, "promotion " + std::to_string(row.id) +
                                         " cannot be read from the store: " + error.what());
  }
}

bool is_over(const Promotion& p) {
  return p.phase == PromotionPhase::kDone || p.phase == PromotionPhase::kFailed;
}

json::value or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

}  // namespace

void Promotions::Saved::save(const Promotion& p) {
  store_.set_promotion(
      {p.id, p.job, p.replay, name_of(p.phase), json::serialize(details_of(p)), 0, now_ms()});
  log(LogLevel::kInfo, "promotion of " + p.replay + ": " + name_of(p.phase) +
                           (p.trouble.empty() ? "" : ": " + p.trouble));
}

Promotions::Promotions(Service& service, PromotionSteps::Limits limits)
    : service_(service),
      limits_(limits),
      jobs_(service, [this] { return is_over_.load(); }),
      saved_(service.store),
      thread_([this] { run(); }) {}

Promotions::~Promotions() {
  is_over_ = true;
  wake();
  thread_.join();
}

std::vector<Promotion> Promotions::open() const {
  std::vector<Promotion> all;
  for (const PromotionRow& row : service_.store.promotions(kLookedAt)) {
    Promotion promotion = read(row);
    if (!is_over(promotion)) all.push_back(std::move(promotion));
  }
  return all;
}

Promotion Promotions::begin(const JobView& job, const JobView& replay) {
  const std::lock_guard lock(begin_mutex_);
  refuse_while_promoted(job.row.name);
  Promotion p;
  p.job = job.row.name;
  p.replay = replay.row.name;
  p.replaced_version = job.row.version;
  p.id = service_.store.add_promotion(
      {0, p.job, p.replay, name_of(p.phase), json::serialize(details_of(p)), now_ms(), now_ms()});
  wake();
  return p;
}

void Promotions::cancel(const std::string& job) {
  const std::lock_guard lock(step_mutex_);
  for (const Promotion& promotion : open()) {
    if (promotion.job != job) continue;
    PromotionSteps steps(promotion, jobs_, saved_, limits_);
    if (!steps.cancel())
      throw CallError(409, "the promotion of " + promotion.replay + " may be decided: it goes on",
                      "roll back when it is done: replay the previous version from the savepoint "
                      "that GET /api/v1/promotions names, and promote that");
    return;
  }
  throw CallError(404, "the job is not being promoted: " + job, "GET /api/v1/promotions lists all");
}

json::array Promotions::list(const std::string& job, std::int64_t limit) const {
  json::array all;
  for (const PromotionRow& row : service_.store.promotions(limit)) {
    if (!job.empty() && row.job != job) continue;
    const Promotion p = read(row);
    all.push_back(json::object{{"id", p.id},
                               {"job", p.job},
                               {"replay", p.replay},
                               {"phase", name_of(p.phase)},
                               {"error", or_null(p.trouble)},
                               {"hold", offsets_json(p.hold)},
                               {"cut", offsets_json(p.cut)},
                               {"savepoint", or_null(p.savepoint)},
                               {"replaced_version", p.replaced_version},
                               {"created_ms", row.created_ms},
                               {"updated_ms", row.updated_ms}});
  }
  return all;
}

void Promotions::refuse_during_hand_over(const std::string& job) const {
  for (const Promotion& p : open()) {
    if ((p.job != job && p.replay != job) || p.phase < PromotionPhase::kCutting) continue;
    throw CallError(409,
                    "the job is being handed over to " + p.replay + ", which is " +
                        std::string(name_of(p.phase)),
                    "wait until GET /api/v1/promotions has it done; while it is cutting it can be "
                    "cancelled: DELETE jobs/" +
                        p.job + "/promote");
  }
}

void Promotions::refuse_while_promoted(const std::string& job) const {
  for (const Promotion& p : open()) {
    if (p.job != job && p.replay != job) continue;
    throw CallError(409,
                    "the job is being handed over to " + p.replay + ", which is " +
                        std::string(name_of(p.phase)),
                    "wait until GET /api/v1/promotions has it done, or cancel it: DELETE jobs/" +
                        p.job + "/promote");
  }
}

void Promotions::wake() {
  const std::lock_guard lock(wake_mutex_);
  has_news_ = true;
  wake_.notify_all();
}

void Promotions::run() {
  while (!is_over_) {
    bool is_open = false;
    bool worked = false;
    try {
      for (const Promotion& promotion : open()) {
        is_open = true;
        if (!is_over_) worked = step(promotion) || worked;
      }
    } catch (const std::exception& error) {
      is_open = true;
      log(LogLevel::kError, std::string("promotions are tried again: ") + error.what());
    }
    if (worked) continue;
    std::unique_lock lock(wake_mutex_);
    const auto is_due = [this] { return has_news_ || is_over_; };
    if (is_open) {
      wake_.wait_for(lock, kPause, is_due);
    } else {
      wake_.wait(lock, is_due);
    }
    has_news_ = false;
  }
}

bool Promotions::step(const Promotion& seen) {
  const std::lock_guard lock(step_mutex_);
  // It may have been cancelled since it was seen.
  for (const Promotion& promotion : open()) {
    if (promotion.id != seen.id) continue;
    PromotionSteps steps(promotion, jobs_, saved_, limits_);
    try {
      return steps.step();
    } catch (const std::exception& error) {
      steps.note(error.what());
      return false;
    }
  }
  return false;
}

}  // namespace tidemill::server
