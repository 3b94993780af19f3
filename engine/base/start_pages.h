// Memory of a process that only its start needed.
#pragma once

namespace tidemill {

// Programs and libraries are mapped files. What links them to each other and what runs once is read
// at the start, and makes up a fifth of what an idle job would have resident: this gives those
// pages back. Whatever is read again comes from the file, without being asked for; nothing changes
// but the time that takes. Best effort.
void release_start_pages();

}  // namespace tidemill
