// What a job's build function is given: its settings, and the graph to put streams into.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "app/config.h"
#include "engine/base/error.h"
#include "engine/checkpoint/supervisor.h"
#include "operators/graph_builder.h"

namespace tidemill {

// One line of the start-up report.
struct Finding {
  enum class Severity { kInfo, kWarning, kError };
  Severity severity = Severity::kInfo;
  std::string text;                     // what, where, what to do
  ErrorCode code = ErrorCode::kConfig;  // of an error: the exit code follows
};

// One thread, before the job runs.
class Environment {
 public:
  using MakeProtocol =
      std::function<std::unique_ptr<CommitProtocol>(Resources&, const CheckpointStorage&)>;
  using Check = std::function<void(std::vector<Finding>&)>;

  // `taken_over`: the replay whose state this run takes.
  Environment(const Config& config, std::string job, std::optional<std::string> replay,
              std::optional<std::string> taken_over = std::nullopt)
      : config_(config),
        job_(std::move(job)),
        replay_(std::move(replay)),
        taken_over_(std::move(taken_over)),
        graph_(std::make_shared<GraphBuilder>()) {}

  [[nodiscard]] const Config& config() const { return config_; }
  // The job's name; in a replay JOB.NAME.
  [[nodiscard]] const std::string& job() const { return job_; }
  [[nodiscard]] int parallelism() const {
    return static_cast<int>(config_.integer("parallelism", 1, 1024));
  }
  // A replay's own name for an output topic or directory: NAME becomes a suffix.
  [[nodiscard]] std::string output_name(const std::string& name) const {
    return replay_ ? name + "." + *replay_ : name;
  }
  // A replay's prefix of Redis keys: "NAME:"; also while it is taken over, since its keys move
  // after that.
  [[nodiscard]] std::string key_prefix() const {
    const auto& name = replay_ ? replay_ : taken_over_;
    return name ? *name + ":" : "";
  }
  // The replay that this run takes over.
  [[nodiscard]] const std::optional<std::string>& taken_over() const { return taken_over_; }
  // What follows a take-over before the job may be started: called after its commit, and again
  // until it has returned once. The lineage names the take-over.
  void after_take_over(std::function<void(const std::string& lineage)> step) {
    after_take_over_.push_back(std::move(step));
  }
  [[nodiscard]] const std::vector<std::function<void(const std::string&)>>& after_take_over()
      const {
    return after_take_over_;
  }
  [[nodiscard]] bool is_replay() const { return replay_.has_value(); }
  [[nodiscard]] const std::shared_ptr<GraphBuilder>& graph() const { return graph_; }
  // Where this job's checkpoints are.
  [[nodiscard]] std::filesystem::path checkpoint_folder() const {
    return std::filesystem::path(config_.required("checkpoint.dir")) / job_;
  }

  // The process's metrics.
  [[nodiscard]] MetricRegistry& metrics() const { return *metrics_; }

  // How checkpoints become the truth; without, by the manifest's rename. The last call wins.
  void commit_with(MakeProtocol make) { make_protocol_ = std::move(make); }
  [[nodiscard]] const MakeProtocol& protocol() const { return make_protocol_; }
  // Outputs that the start-up checks look at (topics).
  void note_output(std::string name) { outputs_.push_back(std::move(name)); }
  [[nodiscard]] const std::vector<std::string>& outputs() const { return outputs_; }
  // A sink of what was turned away (late, bad): counted as that, not among the job's rows.
  void note_sink_of_rejects(std::string name) { sinks_of_rejects_.insert(std::move(name)); }
  [[nodiscard]] const std::set<std::string>& sinks_of_rejects() const { return sinks_of_rejects_; }
  // A folder that the job reads or writes. Two sources or sinks in one would take each other's
  // lines: throws Error(kConfig).
  enum class Use { kRead, kWrite };
  void claim_folder(const std::filesystem::path& folder, Use use) {
    if (!folders_.emplace(std::filesystem::weakly_canonical(std::filesystem::absolute(folder)), use)
             .second)
      throw Error(ErrorCode::kConfig,
                  "two of source, rows, late and bad records share a directory: " +
                      folder.string() + "; give each one of its own");
  }
  [[nodiscard]] const std::map<std::filesystem::path, Use>& folders() const { return folders_; }
  // Something to look at before the first record; all checks run, then one report is printed.
  void check(Check c) { checks_.push_back(std::move(c)); }
  [[nodiscard]] const std::vector<Check>& checks() const { return checks_; }
  // For people: `status` is a JSON object of what open transactions hold back, `abort` ends the one
  // that an instance of the job has left.
  struct Transactions {
    std::function<std::string()> status;
    std::function<void()> abort;
  };
  void administer_with(Transactions transactions) { transactions_ = std::move(transactions); }
  [[nodiscard]] const std::optional<Transactions>& transactions() const { return transactions_; }
  // Lent to the operators of every attempt.
  void lend(std::function<void(Resources&)> lender) { lenders_.push_back(std::move(lender)); }
  [[nodiscard]] const std::vector<std::function<void(Resources&)>>& lenders() const {
    return lenders_;
  }

 private:
  const Config& config_;
  const std::string job_;
  const std::optional<std::string> replay_;
  const std::optional<std::string> taken_over_;
  std::vector<std::function<void(const std::string&)>> after_take_over_;
  std::shared_ptr<GraphBuilder> graph_;
  std::unique_ptr<MetricRegistry> metrics_ = std::make_unique<MetricRegistry>();
  MakeProtocol make_protocol_;
  std::vector<std::string> outputs_;
  std::set<std::string> sinks_of_rejects_;
  std::map<std::filesystem::path, Use> folders_;
  std::vector<Check> checks_;
  std::optional<Transactions> transactions_;
  std::vector<std::function<void(Resources&)>> lenders_;
};

}  // namespace tidemill
