#include "engine/base/start_pages.h"

#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace tidemill {
namespace {

constexpr std::size_t kSize = std::size_t{64} << 10;

// This program's file, mapped once more and read.
class MappedFile {
 public:
  MappedFile() {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bytes_ =
        static_cast<char*>(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
    ::close(file);
  }
  ~MappedFile() { ::munmap(bytes_, kSize); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] char* bytes() { return bytes_; }
  void protect() { ::mprotect(bytes_, kSize, PROT_READ); }
  void read() const {
    for (std::size_t i = 0; i < kSize; i += 512) {
      volatile char byte = bytes_[i];
      static_cast<void>(byte);
    }
  }
  [[nodiscard]] std::size_t resident_kib() const {
    std::ostringstream address;
    address << std::hex << reinterpret_cast<std::uintptr_t>(bytes_) << '-';
    std::ifstream mappings("/proc/self/smaps");
    bool is_this = false;
    for (std::string line; std::getline(mappings, line);) {
      if (line.starts_with(address.str())) is_this = true;
      if (is_this && line.starts_with("Rss:")) return std::stoul(line.substr(4));
    }
    return ~std::size_t{0};
  }

 private:
  char* bytes_ = nullptr;
};

TEST(StartPages, GivesBackWhatTheFileHas) {
  MappedFile file;
  file.protect();
  file.read();
  const std::string before(file.bytes(), kSize);
  ASSERT_EQ(file.resident_kib(), kSize / 1024);
  release_start_pages();
  EXPECT_EQ(file.resident_kib(), 0);
  EXPECT_EQ(std::string(file.bytes(), kSize), before);
}

TEST(StartPages, KeepsWhatTheFileDoesNotHave) {
  MappedFile file;
  file.bytes()[100] = 'x';
  file.protect();
  release_start_pages();
  EXPECT_EQ(file.bytes()[100], 'x');
}

TEST(StartPages, LeavesWhatMayBeWrittenAlone) {
  MappedFile file;
  file.read();
  const std::size_t before = file.resident_kib();
  ASSERT_GT(before, 0);
  release_start_pages();
  EXPECT_EQ(file.resident_kib(), before);
}

}  // namespace
}  // namespace tidemill
