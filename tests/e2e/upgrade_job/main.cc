#include "tests/e2e/upgrade_job/job.h"

int main(int argc, char** argv) {
  return tidemill::run_upgrade_job(TIDEMILL_UPGRADE_JOB, argc, argv);
}
