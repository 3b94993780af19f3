#include "app/transaction_tool.h"

#include <cstdio>
#include <memory>

#include "engine/base/error.h"

namespace tidemill {

int transaction_tool(const Environment& env, const std::string& what) {
  if (what != "status" && what != "abort" && what != "force-abort")
    throw Error(ErrorCode::kConfig,
                "--transactions is none of status, abort, force-abort: " + what);
  if (!env.transactions())
    throw Error(ErrorCode::kConfig,
                "the job has no Kafka transactions: it reads and writes no topic of Kafka");
  if (what != "status") {
    // Held until it is done, so that no process of the job starts meanwhile.
    std::unique_ptr<CheckpointStorage> lock;
    if (what == "abort" && std::filesystem::is_directory(env.checkpoint_folder()))
      lock = std::make_unique<CheckpointStorage>(env.checkpoint_folder(),
                                                 CheckpointStorage::Access::kOwn);
    env.transactions()->abort();
    if (std::filesystem::is_directory(env.checkpoint_folder()))
      CheckpointStorage(env.checkpoint_folder(), CheckpointStorage::Access::kReadOnly)
          .audit("open transaction aborted by --transactions " + what);
  }
  std::printf("%s\n", env.transactions()->status().c_str());
  return 0;
}

}  // namespace tidemill
