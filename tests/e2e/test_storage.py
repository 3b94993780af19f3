"""Damaged, missing and unwritable checkpoints: refused with the file's name, never replaced by an
older one; a full disk declines the checkpoint and harms nothing."""

import shutil

import pytest

from job import REFUSED
from ledger_run import LedgerRun
from process import wait_until
from small_disk import kept_full


@pytest.fixture
def stopped(kafka, name, tmp_path):
    """A job stopped as asked, with input left to process."""
    run = LedgerRun(kafka, name, tmp_path)
    run.input.write(2000)
    run.job.start()
    run.wait_total(2000)
    assert run.job.stop() == 0, run.job.child.tail()
    run.input.write(500)
    yield run
    run.close()


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1:]


DAMAGE = {
    "empty": lambda content: b"",
    "torn in half": lambda content: content[:len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one byte too many": lambda content: content + b"\0",
    "first bit region flipped": lambda content: flipped(content, 0),
    "middle flipped": lambda content: flipped(content, len(content) // 2),
    "end flipped": lambda content: flipped(content, len(content) - 1),
    "zeroed tail": lambda content: content[:-16] + b"\0" * 16,
}


def refused_with_its_name(run, file, damages):
    """Each damage is refused; undamaged again, the job goes on and the ledger is clean.

    Files of a checkpoint may be hard links, so the damaged content goes into a file of its own.
    """
    kept = run.folder / "kept"
    shutil.move(file, kept)
    ends = run.cluster.end_offsets(run.sink)
    for what, damage in damages.items():
        content = damage(kept.read_bytes())
        if content is not None:
            file.write_bytes(content)
        exit_code = run.job.run(deadline_s=30)
        assert exit_code == REFUSED, f"{what}: exit {exit_code}\n{run.job.child.tail()}"
        assert file.name in run.job.log and file.parent.name in run.job.log, (
            f"{what}: the refusal does not name the file:\n{run.job.child.tail()}")
        file.unlink(missing_ok=True)
    assert run.cluster.end_offsets(run.sink) == ends, "a refused start wrote output"
    shutil.move(kept, file)
    verdict = run.finish()
    assert verdict.ok, verdict


@pytest.mark.timeout(120)
def test_damaged_manifest(stopped):
    """A deleted one is a missing checkpoint: row E of the failure table."""
    refused_with_its_name(stopped, stopped.job.manifests()[-1], DAMAGE)


@pytest.mark.timeout(120)
def test_damaged_sst(stopped):
    folder = stopped.job.manifests()[-1].parent
    tables = sorted(folder.rglob("*.sst"), key=lambda p: p.stat().st_size)
    assert tables, f"no SST in {folder}: {sorted(folder.rglob('*'))}"
    refused_with_its_name(stopped, tables[-1], {**DAMAGE, "deleted": lambda content: None})


def on_disk(kafka, name, tmp_path, disk, timeout):
    def settings(config):
        config["checkpoint"]["dir"] = str(disk / "checkpoints")
        config["sinks"]["kafka"]["transaction_timeout"] = timeout

    return LedgerRun(kafka, name, tmp_path / "run", configure=settings)


def test_full_disk_declines_checkpoints_until_there_is_room(kafka, name, tmp_path, small_disk):
    run = on_disk(kafka, name, tmp_path, small_disk, "60s")
    try:
        run.input.start(per_second=300)
        run.job.start()
        run.wait_rows(200)
        with kept_full(small_disk):
            run.job.wait_log("No space left on device")
            seen = run.tail.count
            with pytest.raises(TimeoutError):
                wait_until(lambda: run.tail.count > seen + 200, 1.5, "commits (there must be none)")
            assert run.job.child.running(), run.job.child.tail()
        run.wait_rows(200)
        # Declined checkpoints leave their transaction open: it then carries several epochs.
        verdict = run.finish(strict_epochs=False)
        assert verdict.ok, verdict
    finally:
        run.close()
