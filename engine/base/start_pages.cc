#include "engine/base/start_pages.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <sys/mman.h>

namespace tidemill {

void release_start_pages() {
  // Of each mapping a line "begin-end rights offset device inode path", then "Name: value"
  // (proc(5)).
  std::ifstream mappings("/proc/self/smaps");
  unsigned long begin = 0;
  unsigned long end = 0;
  bool is_fixed = false;  // of a file, and cannot be written
  for (std::string line; std::getline(mappings, line);) {
    if (line.empty()) continue;
    if (line.front() < 'A' || line.front() > 'Z') {  // a number
      char rights[5] = "";
      unsigned long inode = 0;
      std::sscanf(line.c_str(), "%lx-%lx %4s %*s %*s %lu", &begin, &end, rights, &inode);
      const std::string_view may = rights;
      is_fixed = inode != 0 && (may == "r--p" || may == "r-xp");
    } else if (is_fixed && line.starts_with("Anonymous:")) {
      // A page that differs from the file, as where a debugger has put a breakpoint, would be lost.
      unsigned long changed = 1;
      std::sscanf(line.c_str(), "Anonymous: %lu", &changed);
      // An address, as the kernel wrote it.
      if (changed == 0) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
  }
}

}  // namespace tidemill
