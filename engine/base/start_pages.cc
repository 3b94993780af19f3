#include "engine/base/start_pages.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <link.h>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <vector>

namespace tidemill {
namespace {

constexpr std::uintptr_t kPage = 4096;  // mappings are of whole ones, so larger ones are too

struct Range {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

// Mappings that are what their file is. Of each the system tells a line "begin-end rights offset
// device inode path", then lines "Name: value" (proc(5)).
std::vector<Range> unchanged_mappings() {
  std::ifstream mappings("/proc/self/smaps");
  std::vector<Range> unchanged;
  Range range;
  bool is_fixed = false;  // of a file, and cannot be written
  for (std::string line; std::getline(mappings, line);) {
    if (line.empty()) continue;
    if (line.front() < 'A' || line.front() > 'Z') {  // a number
      char rights[5] = "";
      unsigned long begin = 0;
      unsigned long end = 0;
      unsigned long inode = 0;
      std::sscanf(line.c_str(), "%lx-%lx %4s %*s %*s %lu", &begin, &end, rights, &inode);
      range = {begin, end};
      const std::string_view may = rights;
      is_fixed = inode != 0 && (may == "r--p" || may == "r-xp");
    } else if (is_fixed && line.starts_with("Anonymous:")) {
      // A page that differs from the file, as where a debugger has put a breakpoint, would be lost.
      unsigned long changed = 1;
      std::sscanf(line.c_str(), "Anonymous: %lu", &changed);
      if (changed == 0) unchanged.push_back(range);
    }
  }
  return unchanged;
}

// Of one program or library: what it says that it never writes to. What else is mapped may have
// come and gone since the mappings were read; this has not while the linker calls back.
int release_segments(dl_phdr_info* object, std::size_t, void* mappings) {
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    for (const Range& mapping : *static_cast<const std::vector<Range>*>(mappings)) {
      if (begin + segment.p_filesz <= mapping.begin || begin >= mapping.end) continue;
      const std::uintptr_t last = (begin + segment.p_filesz - 1) / kPage * kPage + kPage;
      const std::uintptr_t from = std::max(mapping.begin, begin / kPage * kPage);
      const std::uintptr_t to = std::min(mapping.end, last);
      // An address, as the linker has it.
      ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
    }
  }
  return 0;
}

}  // namespace

void release_start_pages() {
  std::vector<Range> unchanged = unchanged_mappings();
  ::dl_iterate_phdr(release_segments, &unchanged);
}

}  // namespace tidemill
