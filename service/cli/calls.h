// What each verb of the table does. They throw CallFailed for an answer that is an error, and
// Error.
#pragma once

#include <string>

#include "service/cli/verbs.h"

namespace tidemill::cli {

// Of a file of at most 1 MiB, which --config names. Throws Error(kConfig).
std::string config_text(const std::string& path);

}  // namespace tidemill::cli

namespace tidemill::cli::calls {

// Of views.cc: they read.
void list(const Invocation&);
void status(const Invocation&);
void logs(const Invocation&);
void explain(const Invocation&);
void checkpoints(const Invocation&);
void audit(const Invocation&);
void tokens(const Invocation&);

// Of state_views.cc: into state.
void state_list(const Invocation&);
void state_get(const Invocation&);
void state_diff(const Invocation&);

// Of upgrade_view.cc.
void check_upgrade(const Invocation&);

// Of changes.cc.
void submit(const Invocation&);
void start(const Invocation&);
void stop(const Invocation&);
void cancel(const Invocation&);
void savepoint(const Invocation&);
void restart(const Invocation&);
void restore(const Invocation&);
void remove(const Invocation&);
void replay(const Invocation&);

// Of promotions.cc.
void diff(const Invocation&);
void promote(const Invocation&);
void promotions(const Invocation&);

// Of verification.cc.
void verify(const Invocation&);

// Of recover.cc.
void recover(const Invocation&);
void transactions_status(const Invocation&);
void transactions_abort(const Invocation&);

}  // namespace tidemill::cli::calls
