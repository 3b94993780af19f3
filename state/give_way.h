// The threads that write state, beside the workers.
#pragma once

namespace tidemill {

// Makes the calling thread 5 nicer than it was, once. Whoever writes files gives way to the
// workers, for whom records wait; but it still has its share of a processor that is never free,
// else files would pile up, and every read asks them all.
void give_way();

}  // namespace tidemill
