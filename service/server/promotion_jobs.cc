#include "service/server/promotion_jobs.h"

#include <algorithm>
#include <array>

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/checkpoint/storage.h"
#include "service/server/log_writer.h"

namespace tidemill::server {
namespace json = boost::json;
namespace {

constexpr auto kStopTime = std::chrono::seconds(60);
// Longer than any keys take to move; what is ended goes on with the next try.
constexpr auto kTakeOverTime = std::chrono::hours(1);

SplitOffsets offsets_of(const std::string& folder, const std::string& id) {
  SplitOffsets offsets;
  const CheckpointStorage storage(folder, CheckpointStorage::Access::kReadOnly);
  for (const SourcePositions& source : storage.load(id).manifest.sources) {
    for (const SplitPosition& p : source.splits) {
      // Two sources may read one split: it is passed when both have.
      const auto [at, is_new] = offsets.try_emplace(p.split, p.offset);
      if (!is_new) at->second = std::min(at->second, p.offset);
    }
  }
  return offsets;
}

bool is_savepoint(const std::string& folder, const std::string& id) {
  for (const CheckpointName& name :
       CheckpointStorage(folder, CheckpointStorage::Access::kReadOnly).list()) {
    if (name.id == id) return name.is_savepoint;
  }
  return false;
}

// Whether a take-over may have been decided: its first checkpoint is there, committed or not.
bool may_be_decided(const std::string& folder, const std::string& lineage) {
  const std::string newest = newest_checkpoint(folder);
  if (newest.empty()) return false;
  return CheckpointStorage(folder, CheckpointStorage::Access::kReadOnly)
             .load(newest)
             .manifest.lineage == lineage;
}

SplitOffsets offsets_at(const json::value& value, const char* member) {
  SplitOffsets offsets;
  const json::value* found = value.is_object() ? value.get_object().if_contains(member) : nullptr;
  if (found == nullptr || !found->is_object()) return offsets;
  for (const auto& split : found->get_object())
    offsets[std::string(split.key())] = split.value().to_number<std::int64_t>();
  return offsets;
}

std::string hold_body(const SplitOffsets& offsets) {
  json::object object;
  for (const auto& [split, offset] : offsets) object[split] = offset;
  return json::serialize(json::object{{"offsets", std::move(object)}});
}

std::string hold_argument(const SplitOffsets& offsets) {
  std::string text;
  for (const auto& [split, offset] : offsets)
    text += (text.empty() ? "--hold-offsets=" : ",") + split + "=" + std::to_string(offset);
  return text;
}

// Throws Error(kIo) with what the job said.
json::value answered(const JobAnswer& answer) {
  json::error_code error;
  json::value value = json::parse(answer.body, error);
  if (answer.status < 300 && !error) return value;
  const json::value* words =
      !error && value.is_object() ? value.get_object().if_contains("error") : nullptr;
  throw Error(ErrorCode::kIo, words != nullptr && words->is_string()
                                  ? std::string(words->get_string())
                                  : "the job answered " + std::to_string(answer.status));
}

}  // namespace

std::vector<std::string> without_replay_args(const std::vector<std::string>& args) {
  constexpr std::array<const char*, 7> kOfReplay = {
      "--from-time", "--until-time",      "--from-offsets", "--until-offsets",
      "--rate",      "--from-checkpoint", "--hold-offsets"};
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::string flag = args[i].substr(0, args[i].find('='));
    if (std::find(kOfReplay.begin(), kOfReplay.end(), flag) == kOfReplay.end()) {
      kept.push_back(args[i]);
    } else if (flag == args[i]) {
      ++i;  // its value
    }
  }
  return kept;
}

JobView FleetPromotionJobs::view(const std::string& job) const {
  auto view = service_.fleet.view(job);
  if (!view) throw Error(ErrorCode::kRefused, "there is no job " + job);
  return std::move(*view);
}

PromotionJobs::State FleetPromotionJobs::look(const std::string& job) {
  const JobView now = view(job);
  State state;
  state.is_running = now.run.has_value();
  if (state.is_running) {
    try {
      look_inside(now, state);
    } catch (const Error&) {  // it is starting or ending: the next look says more
    }
  } else {
    state.checkpoint = newest_checkpoint(now.checkpoint_folder);
    if (!state.checkpoint.empty())
      state.committed = offsets_of(now.checkpoint_folder, state.checkpoint);
  }
  return state;
}

void FleetPromotionJobs::look_inside(const JobView& now, State& state) const {
  const json::value status = answered(service_.fleet.ask(now.row.name, {"GET", "/api/v1/status"}));
  if (const json::value* id = status.at("checkpoint").as_object().if_contains("last_id");
      id != nullptr && id->is_string()) {
    state.checkpoint = std::string(id->get_string());
    state.committed = offsets_of(now.checkpoint_folder, state.checkpoint);
  }
  state.hold =
      offsets_at(answered(service_.fleet.ask(now.row.name, {"GET", "/api/v1/hold"})), "offsets");
  if (now.row.replay_of.empty()) return;
  // The live job is near the end of the log. Where no watermark says how far that is, nothing left
  // to read does.
  const JobStatus replay = parse_status(json::serialize(status));
  const JobView live = view(now.row.replay_of);
  if (replay.lag_records == 0) {
    state.behind = std::chrono::milliseconds(0);
  } else if (replay.watermark_ms && live.status && live.status->watermark_ms) {
    state.behind = std::chrono::milliseconds(
        std::max<std::int64_t>(0, *live.status->watermark_ms - *replay.watermark_ms));
  }
}

SplitOffsets FleetPromotionJobs::hold_here(const std::string& replay) {
  return offsets_at(
      answered(service_.fleet.ask(replay, {"POST", "/api/v1/hold", {}, R"({"here":true})"})),
      "offsets");
}

bool FleetPromotionJobs::hold(const std::string& replay, const SplitOffsets& offsets) {
  const JobAnswer answer =
      service_.fleet.ask(replay, {"POST", "/api/v1/hold", {}, hold_body(offsets)});
  if (answer.status == 409) return false;
  (void)answered(answer);
  return true;
}

void FleetPromotionJobs::release(const std::string& replay) {
  (void)answered(service_.fleet.ask(replay, {"POST", "/api/v1/hold", {}, "{}"}));
}

void FleetPromotionJobs::want(const std::string& job, bool running) const {
  service_.fleet.change(job, running, [&](const JobView&) {
    service_.store.set_desired(job, running);
    service_.store.set_replaced_run(job, 0);
  });
}

std::string FleetPromotionJobs::stop(const std::string& job) {
  const JobView now = view(job);
  if (now.run && now.row.desired_running) {
    // First what is wanted, so that its end is no reason to start it again.
    service_.fleet.note_stop_sent(job, true);
    want(job, false);
    try {
      (void)answered(service_.fleet.ask(
          job, {"POST", "/api/v1/stop", {}, R"({"mode":"savepoint"})", kStopTime}));
    } catch (const Error&) {
      service_.fleet.note_stop_sent(job, false);
      want(job, true);
      throw;
    }
    return "";  // known once it has ended
  }
  if (now.run) return "";  // it is ending
  const std::string newest = newest_checkpoint(now.checkpoint_folder);
  // Killed in between, its newest checkpoint may not be committed; and a roll back needs one that
  // is kept.
  if (now.row.desired_running || !now.last || now.last->exit != 0 ||
      !is_savepoint(now.checkpoint_folder, newest)) {
    want(job, true);
    throw Error(ErrorCode::kIo,
                "the job ended without a savepoint: it is started, to be stopped "
                "with one");
  }
  return newest;
}

void FleetPromotionJobs::start(const std::string& job, const SplitOffsets& hold) {
  service_.fleet.change(job, true, [&](const JobView& now) {
    if (now.run && now.row.desired_running) return;
    service_.store.set_once(
        job,
        hold.empty() ? std::vector<std::string>{} : std::vector<std::string>{hold_argument(hold)},
        newest_checkpoint(now.checkpoint_folder));
    service_.store.set_replaced_run(job, 0);
    service_.store.set_desired(job, true);
  });
}

PromotionJobs::Taken FleetPromotionJobs::take_over(const Promotion& promotion,
                                                   std::string& trouble) {
  for (const std::string& job : {promotion.job, promotion.replay}) {
    const JobView now = view(job);
    if (now.row.desired_running) want(job, false);
    if (!now.row.desired_running && !now.run) continue;
    trouble = job + " still runs";
    return Taken::kNotYet;
  }
  const JobView live = view(promotion.job);
  const JobView replay = view(promotion.replay);
  const Version version = service_.store.version(promotion.replay, replay.row.version);
  const ServerFolder& server = service_.fleet.folder();
  const JobFolder folder = server.job(promotion.job);
  const std::filesystem::path config = folder.path / "take-over.yaml";
  write_private(config, version.config, version.user);
  const std::string lineage = promotion.replay + "/" + promotion.checkpoint;
  std::vector<std::string> command = {server.binary(version.binary).string(),
                                      "--config",
                                      config.string(),
                                      "--set",
                                      "job=" + promotion.job,
                                      "--http",
                                      "none"};
  const std::vector<std::string> args = without_replay_args(version.args);
  command.insert(command.end(), args.begin(), args.end());
  command.insert(command.end(), {"--take-over", lineage});
  const Told run = ask_program(service_.fleet.settings().program, version.user, folder.work(),
                               command, kTakeOverTime, Variables::kWithoutSettings, is_enough_);
  std::error_code ignored;
  std::filesystem::remove(config, ignored);
  if (run.exit == 0) return Taken::kYes;
  LastWords words;
  words.add(run.out);
  words.add(run.err);
  trouble = words.cause(run.exit < 0);
  if (trouble.empty()) trouble = "the take-over ended without a word";
  log(LogLevel::kWarn, "promotion of " + promotion.replay +
                           ": the take-over ended with exit code " + std::to_string(run.exit) +
                           ": " + trouble);
  const bool is_refusal =
      run.exit == exit_code(ErrorCode::kRefused) || run.exit == exit_code(ErrorCode::kConfig);
  return is_refusal && trouble.find(kFolderIsOwned) == std::string::npos &&
                 !may_be_decided(live.checkpoint_folder, lineage)
             ? Taken::kRefused
             : Taken::kNotYet;
}

void FleetPromotionJobs::start_promoted(const Promotion& promotion) {
  const JobView live = view(promotion.job);
  const Version now = service_.store.version(promotion.job, live.row.version);
  const JobView replay = view(promotion.replay);
  Version next = service_.store.version(promotion.replay, replay.row.version);
  next.args = without_replay_args(next.args);
  const bool is_new = now.binary != next.binary || now.config != next.config ||
                      now.args != next.args || now.number == promotion.replaced_version;
  if (is_new) {
    next.created_by = "promotion of " + promotion.replay;
    next = checked_version(service_, live.row, std::move(next));
  }
  service_.fleet.change(promotion.job, true, [&](const JobView&) {
    if (is_new) service_.store.add_version(promotion.job, next);
    service_.store.set_once(promotion.job, {}, "");
    service_.store.set_replaced_run(promotion.job, 0);
    service_.store.set_desired(promotion.job, true);
  });
}

}  // namespace tidemill::server
