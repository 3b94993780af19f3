"""Two instances of one job: the older one, frozen or merely slow, must never add to the output.

The instances share no disk (a shared one is locked): the younger one works on a copy of the
checkpoints, as it would after a download from shared storage.
"""

import shutil

import pytest

from job import FAILED, REFUSED
from ledger_run import LedgerRun
from process import wait_until


@pytest.fixture
def run(kafka, name, tmp_path):
    made = LedgerRun(kafka, name, tmp_path)
    made.input.start(per_second=500)
    yield made
    made.close()


def copy_of(run, older, number):
    """A second instance on a copy of a frozen instance's checkpoints."""
    folder = run.folder / f"checkpoints-{number}"
    shutil.copytree(older.checkpoints, folder)
    younger = run.second_instance()
    younger.config = {**younger.config,
                      "checkpoint": {**younger.config["checkpoint"], "dir": str(folder)}}
    younger.checkpoints = folder
    return younger


def test_a_thawed_zombie_adds_nothing_and_ends(run):
    """SIGSTOP, a second instance takes over and commits, SIGCONT."""
    zombie = run.job.start()
    run.wait_rows(200)
    zombie.child.freeze()
    younger = copy_of(run, zombie, 2).start()
    run.wait_rows(200, job=younger)
    zombie.child.thaw()
    exit_code = zombie.child.wait(60)
    assert exit_code in (FAILED, REFUSED), zombie.child.tail()
    assert "fenced" in zombie.log.lower(), zombie.child.tail()
    run.wait_rows(200, job=younger)
    verdict = run.finish(job=younger)
    assert verdict.ok, verdict


def test_zombies_at_random_moments(run):
    """Five takeovers, each zombie thawed as soon as its successor runs: both are alive at once."""
    current = run.job.start()
    zombies = []
    for number in range(5):
        run.wait_rows(100, job=current)
        current.child.freeze()
        younger = copy_of(run, current, number + 2)
        folder = younger.checkpoints
        copied = set(folder.glob("*/*/manifest"))
        younger.start()
        # A row more may also be of a commit that the frozen one had under way: it is fenced for sure once the other makes a checkpoint.
        wait_until(lambda: set(folder.glob("*/*/manifest")) - copied or not younger.child.running(), 30, "a checkpoint of the younger instance")
        run.wait_rows(1, job=younger)
        current.child.thaw()
        zombies.append(current)
        current = younger
    for zombie in zombies:
        assert zombie.child.wait(60) in (FAILED, REFUSED), zombie.child.tail()
    verdict = run.finish(job=current)
    assert verdict.ok, verdict


def test_overlapping_live_instances(run):
    """The older one may still commit while the younger starts. Then the younger one's copy is too
    old and it refuses; if not, the older one is fenced. Whoever is left goes on."""
    older = run.job.start()
    run.wait_rows(200)
    older.child.freeze()
    younger = copy_of(run, older, 2)
    older.child.thaw()
    younger.start()
    wait_until(lambda: not (older.child.running() and younger.child.running()), 60,
               "one of two live instances ends")
    loser, winner = (younger, older) if older.child.running() else (older, younger)
    # Where neither has committed when they fence each other, one is fenced for the third time.
    assert loser.child.exit_code == REFUSED or (
        loser.child.exit_code == FAILED and "fenced 3 times without a commit" in loser.log
    ), loser.child.tail()
    run.wait_rows(200, job=winner)
    verdict = run.finish(job=winner)
    assert verdict.ok, verdict


def test_a_second_instance_on_the_same_folder_is_refused(run):
    run.job.start()
    run.wait_rows(100)
    second = run.second_instance()
    assert second.run(deadline_s=30) == REFUSED, second.child.tail()
    assert str(run.job.checkpoints) in second.log
    run.wait_rows(100)
    verdict = run.finish()
    assert verdict.ok, verdict


def test_the_lock_of_a_killed_instance_is_free(run):
    run.job.start()
    run.wait_rows(100)
    run.job.kill()
    run.job.start()
    run.wait_rows(100)
    verdict = run.finish()
    assert verdict.ok, verdict
