#include "state/stored_files.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <fcntl.h>
#include <memory>
#include <mutex>
#include <thread>
#include <xxhash.h>

#include "engine/base/error.h"
#include "engine/base/files.h"

namespace tidemill {
StoredFile stored_file(const std::filesystem::path& folder, const std::string& name) {
  const std::filesystem::path path = folder / name;
  const OpenFile file(path, O_RDONLY);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  XXH3_64bits_reset(state.get());
  std::vector<char> piece(std::size_t{1} << 20);
  StoredFile stored{name, 0, 0};
  while (const std::size_t n = file.read(piece.data(), piece.size())) {
    XXH3_64bits_update(state.get(), piece.data(), n);
    stored.size += n;
  }
  stored.checksum = XXH3_64bits_digest(state.get());
  return stored;
}

void verify_size(const std::filesystem::path& folder, const StoredFile& expected) {
  const std::filesystem::path path = folder / expected.name;
  std::error_code ec;
  const auto size = std::filesystem::file_size(path, ec);
  if (ec) throw Error(ErrorCode::kCorrupt, "checkpoint file is missing: " + path.string());
  if (size != expected.size) {
    throw Error(ErrorCode::kCorrupt, "checkpoint file has the wrong size: " + path.string() + ": " +
                                         std::to_string(size) + " instead of " +
                                         std::to_string(expected.size));
  }
}

void verify_files(const std::filesystem::path& folder, const std::vector<StoredFile>& files,
                  int threads) {
  const auto verify = [&folder](const StoredFile& expected) {
    verify_size(folder, expected);
    if (stored_file(folder, expected.name).checksum != expected.checksum) {
      throw Error(ErrorCode::kCorrupt, "checkpoint file is damaged (checksum differs): " +
                                           (folder / expected.name).string());
    }
  };
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < files.size(); i = next++) {
      try {
        verify(files[i]);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (int t = 1; t < threads; ++t) others.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace tidemill
