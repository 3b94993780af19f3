#include "service/server/binaries.h"

#include <array>
#include <atomic>
#include <cctype>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/files.h"
#include "service/server/token.h"

namespace tidemill::server {
namespace {

#if defined(__x86_64__)
constexpr auto kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr auto kMachine = EM_AARCH64;
#else
constexpr auto kMachine = EM_NONE;
#endif

void check_program(const char* bytes, std::size_t size) {
  Elf64_Ehdr header{};
  if (size >= sizeof header) std::memcpy(&header, bytes, sizeof header);
  if (size < sizeof header || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 ||
      (header.e_type != ET_EXEC && header.e_type != ET_DYN))
    throw Error(ErrorCode::kConfig,
                "what was uploaded is no 64-bit ELF program; upload the job's binary itself");
  if (kMachine != EM_NONE && header.e_machine != kMachine)
    throw Error(ErrorCode::kConfig,
                "the program is for another kind of processor; build it for this machine's");
}

}  // namespace

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::filesystem::path Binaries::upload_path() const {
  static std::atomic<std::uint64_t> number{0};
  return folder_.binaries() /
         (".upload." + std::to_string(::getpid()) + "." + std::to_string(++number));
}

void Binaries::remove_unfinished() const {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.binaries(), ignored)) {
    if (entry.path().filename().string().starts_with(".upload."))
      std::filesystem::remove(entry.path(), ignored);
  }
}

Binaries::Kept Binaries::keep(const std::filesystem::path& uploaded) const {
  Kept kept;
  {
    const OpenFile file(uploaded, O_RDONLY | O_CLOEXEC);
    Sha256 hash;
    std::array<char, 65536> buffer{};
    while (const std::size_t size = file.read(buffer.data(), buffer.size())) {
      if (kept.bytes == 0) check_program(buffer.data(), size);
      hash.add({buffer.data(), size});
      kept.bytes += static_cast<std::int64_t>(size);
    }
    if (kept.bytes == 0) check_program(nullptr, 0);
    kept.sha256 = hash.hex();
    file.sync();
  }
  if (!is_allowed(kept.sha256))
    throw Error(ErrorCode::kRefused,
                "this binary is not on the server's allow-list: " + kept.sha256);
  if (::chmod(uploaded.c_str(), for_other_users_ ? 0555 : 0500) != 0)
    throw Error(ErrorCode::kIo, "the mode of a file cannot be set: " + uploaded.string());
  std::filesystem::rename(uploaded, folder_.binary(kept.sha256));
  sync_folder(folder_.binaries());
  return kept;
}

bool Binaries::has(const std::string& sha256) const {
  std::error_code ignored;
  return is_sha256(sha256) && std::filesystem::is_regular_file(folder_.binary(sha256), ignored);
}

bool Binaries::is_allowed(const std::string& sha256) const {
  if (allow_list_.empty()) return true;
  std::ifstream in(allow_list_);
  std::string line;
  while (std::getline(in, line)) {
    std::string first = line.substr(0, line.find_first_of(" \t\r"));
    for (char& c : first) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (first == sha256) return true;
  }
  return false;
}

}  // namespace tidemill::server
