#include "engine/base/start_pages.h"

#include <array>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace tidemill {
namespace {

// Much more than the pages that the system maps around one that is read.
constexpr std::size_t kSize = std::size_t{1} << 20;

// What this program never writes to: a part of its file.
struct alignas(4096) Fixed {
  std::array<char, kSize> bytes;
};
constexpr Fixed kUntouched{{'a'}};
constexpr Fixed kPatched{{'b'}};

std::string read(const char* bytes) {
  std::string all(kSize, '\0');
  for (std::size_t i = 0; i < kSize; ++i) all[i] = static_cast<const volatile char*>(bytes)[i];
  return all;
}

// How many of the pages from `bytes` on are resident.
std::size_t resident_pages(const char* bytes) {
  std::array<std::uint64_t, kSize / 4096> pages{};  // proc(5)
  const int map = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const auto place = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(bytes) / 4096 * 8);
  EXPECT_EQ(::pread(map, pages.data(), sizeof(pages), place), sizeof(pages));
  ::close(map);
  std::size_t resident = 0;
  for (const std::uint64_t page : pages) resident += page >> 63;
  return resident;
}

TEST(StartPages, GivesBackWhatTheFileHas) {
  const std::string before = read(kUntouched.bytes.data());
  ASSERT_EQ(resident_pages(kUntouched.bytes.data()), kSize / 4096);
  release_start_pages();
  EXPECT_LT(resident_pages(kUntouched.bytes.data()), kSize / 4096 / 2);
  EXPECT_EQ(read(kUntouched.bytes.data()), before);
}

TEST(StartPages, KeepsWhatTheFileDoesNotHave) {
  char* bytes = const_cast<char*>(kPatched.bytes.data());
  ASSERT_EQ(::mprotect(bytes, kSize, PROT_READ | PROT_WRITE), 0);
  static_cast<volatile char*>(bytes)[100] = 'x';
  ASSERT_EQ(::mprotect(bytes, kSize, PROT_READ), 0);
  release_start_pages();
  EXPECT_EQ(static_cast<volatile char*>(bytes)[100], 'x');
}

// A file that is mapped may be another one by the time that it is released.
TEST(StartPages, LeavesWhatIsNoProgramOrLibraryAlone) {
  const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  char* bytes = static_cast<char*>(::mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE, file, 0));
  ::close(file);
  ASSERT_NE(bytes, MAP_FAILED);
  const std::string before = read(bytes);
  ASSERT_EQ(resident_pages(bytes), kSize / 4096);
  release_start_pages();
  EXPECT_EQ(resident_pages(bytes), kSize / 4096);
  EXPECT_EQ(read(bytes), before);
  ::munmap(bytes, kSize);
}

}  // namespace
}  // namespace tidemill
