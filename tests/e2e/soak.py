"""Random SIGKILL cycles of a ledger job against a real broker, with the ledger's verdict at the end.

    tests/e2e/soak --cycles 1000 --seed 7 [--network] [--broker]

Every random choice follows from the seed; only the timing of the machine does not.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from broker import Cluster
from fault_proxy import Fault, FaultProxy, Rule
from job import CRASH_POINTS, KILLED
from ledger_run import LedgerRun
from process import wait_until

RECORDS_PER_SECOND = 500
# Points a start passes whatever came before it; the others need a commit, a checkpoint or a fault.
ALWAYS_PASSED = ("before_init", "after_init", "after_fence", "mid_epoch", "at_barrier",
                 "mid_snapshot", "before_manifest_rename", "after_manifest_rename",
                 "after_snapshot", "after_control_record", "in_commit", "after_commit")
LATE_APIS = ("EndTxn", "AddPartitionsToTxn", "Produce")


def network_faults(proxy, job_name):
    """The mix of exactly-once.md 7: late, dropped and answer-lost requests of the job."""
    for api in LATE_APIS:
        proxy.add(Rule(Fault.LATE, api=api, client=job_name, probability=0.03, seconds=0.3))
        proxy.add(Rule(Fault.CUT, api=api, client=job_name, probability=0.01))
        proxy.add(Rule(Fault.CUT_ANSWER, api=api, client=job_name, probability=0.01))


class Soak:
    """Kills one job again and again. `statistics` counts what happened."""

    def __init__(self, run, seed, broker_faults=False, say=print):
        self.run = run
        self.random = random.Random(seed)
        self.broker_faults = broker_faults
        self.say = say
        self.statistics = Counter()

    def cycles(self, count):
        """Runs that many kills, then to the end; returns the verdict."""
        self.run.input.start(RECORDS_PER_SECOND)
        started = time.monotonic()
        for i in range(count):
            before = self.run.tail.count
            self._cycle()
            self.statistics["cycles that committed"] += self.run.tail.count > before
            if (i + 1) % 20 == 0:
                self.say(f"{i + 1} of {count} cycles, {self.run.tail.count} rows committed, "
                         f"{time.monotonic() - started:.0f} s")
        return self.run.finish(deadline_s=120)

    def _cycle(self):
        """One start and its end: at a crash point, some time after the start whatever it has done
        by then, or some time after its first commit."""
        job = self.run.job
        point = self._point()
        after_a_commit = point is None and self.random.random() < 0.7
        patience = 5 if point else self.random.uniform(0, 0.5 if after_a_commit else 2.0)
        job.start(crash_at=point)
        if self.broker_faults and self.random.random() < 0.1:
            self._broker_fault()
        if after_a_commit:
            self.run.wait_rows(1, deadline_s=60)
        try:
            wait_until(lambda: not job.child.running(), patience, "crash", 0.005)
        except TimeoutError:
            job.kill()
            self.statistics["killed by time"] += 1
        else:
            self.statistics[f"crashed {point.split(':')[0] if point else 'by itself'}"] += 1
            if job.child.exit_code != KILLED:
                raise AssertionError(f"the job ended by itself ({job.child.exit_code}):\n"
                                     + job.child.tail())

    def _point(self):
        if not self.run.program.endswith("_testing") or self.random.random() < 0.5:
            return None
        point = self.random.choice(ALWAYS_PASSED)
        passes = 1 if point in CRASH_POINTS[:4] else self.random.randint(1, 4)
        return f"{point}:{passes}"

    def _broker_fault(self):
        node = self.run.cluster.nodes[0]
        if self.random.random() < 0.5:
            node.freeze()
            time.sleep(self.random.uniform(0.1, 1.5))
            node.thaw()
            self.statistics["broker frozen"] += 1
        else:
            node.kill()
            self.run.cluster.restart()
            self.statistics["broker killed"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, required=True)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--program", default="ledger_job_testing",
                        help="ledger_job: kills by time only")
    parser.add_argument("--network", action="store_true",
                        help="3 %% late, 1 %% cut and 1 %% answer-lost requests")
    parser.add_argument("--broker", action="store_true", help="freeze and kill the broker, too")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)

    folder = Path(tempfile.mkdtemp(prefix="tidemill-soak-"))
    cluster = Cluster(folder / "kafka")
    proxy = None
    verdict = None
    try:
        cluster.start()
        node = cluster.nodes[0]
        if arguments.network:
            proxy = FaultProxy(node.proxy_port, node.proxied_port, arguments.seed).start()
            network_faults(proxy, "soak")
        run = LedgerRun(cluster, "soak", folder / "run", arguments.seed, arguments.program,
                        cluster.proxied_address if proxy else None)
        soak = Soak(run, arguments.seed, arguments.broker, lambda text: print(text, flush=True))
        try:
            verdict = soak.cycles(arguments.cycles)
        finally:
            run.close()
        for what, count in sorted(soak.statistics.items()):
            print(f"{count:6} {what}")
        print(verdict)
    finally:
        if proxy is not None:
            proxy.stop()
        cluster.stop()
        if verdict is not None and verdict.ok:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"seed {arguments.seed}; ledger and logs are in {folder}", file=sys.stderr)
    return 0 if verdict is not None and verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())
