"""Random SIGKILLs against a real broker: nothing lost, nothing twice. More: tests/e2e/soak."""

import os
import random

import pytest

from ledger_run import LedgerRun
from soak import Soak, network_faults

CYCLES = 60


@pytest.fixture
def seed():
    """Of this run; TIDEMILL_SEED repeats one."""
    chosen = int(os.environ.get("TIDEMILL_SEED") or random.SystemRandom().randrange(1 << 31))
    print(f"TIDEMILL_SEED={chosen}")
    return chosen


@pytest.mark.timeout(400)
def test_sixty_random_kills(kafka, name, tmp_path, seed):
    run = LedgerRun(kafka, name, tmp_path, seed)
    soak = Soak(run, seed)
    try:
        verdict = soak.cycles(CYCLES)
    finally:
        run.close()
    print(soak.statistics, verdict)
    assert verdict.ok, f"seed {seed}: {verdict}"
    # A soak that never commits, or never dies inside a step, would prove nothing.
    assert soak.statistics["cycles that committed"] >= CYCLES // 4, soak.statistics
    assert sum(n for what, n in soak.statistics.items() if what.startswith("crashed ")) >= 10
    assert verdict.report.epochs >= CYCLES // 4


@pytest.mark.timeout(200)
def test_kills_while_requests_are_late_or_lost(kafka, proxy, name, tmp_path, seed):
    network_faults(proxy, name)
    run = LedgerRun(kafka, name, tmp_path, seed, brokers=proxy.address)
    soak = Soak(run, seed)
    try:
        verdict = soak.cycles(15)
    finally:
        run.close()
    assert verdict.ok, f"seed {seed}: {verdict}"
