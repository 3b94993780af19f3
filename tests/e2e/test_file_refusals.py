"""Files of a job without Kafka that were lost, moved or damaged: refused (exit 3) with what was found
and what goes on, and nothing is lost or doubled. Rows E and I of docs/exactly-once.md 4.3."""

import shutil

import pytest

from file_job import FileJob, event
from job import FINISHED, REFUSED
from process import wait_until


@pytest.fixture
def job(tmp_path):
    """Stopped in the middle: rows of several checkpoints are there."""
    made = FileJob(tmp_path)
    made.config["source"]["file"]["follow"] = True
    made.config["checkpoint"]["retained"] = 100
    for i in range(3):
        made.append(0, event("a", 20 * i), event("b", 20 * i + 1))
        made.append(1, event("c", 20 * i))
        made.start()
        made.wait_rows(3 * (i + 1))
        assert made.stop() == FINISHED, made.log
    yield made
    made.kill()


def newest(job):
    return job.manifests()[-1].parent


def all_rows(job):
    return sorted(str(row) for row in job.rows())


def refused(job, *words):
    before = all_rows(job)
    code, _, err = job.tell()
    assert code == REFUSED, err
    for word in words:
        assert word in err, err
    assert all_rows(job) == before


def test_a_missing_checkpoint_is_told_by_its_output(job):
    """Never an older one silently: what came after it has been published."""
    before = all_rows(job)
    while True:
        shutil.rmtree(newest(job))
        code, out, _ = job.tell("--validate")
        assert code == FINISHED, out
        if newest(job).name.startswith("0-"):
            break
    refused(job, "the committed checkpoint is missing", "--restore ID --accept-duplicates")
    job.start("--restore", newest(job).name, "--accept-duplicates")
    wait_until(lambda: list(job.rows_folder.rglob("*.given-up-*")) and all_rows(job) == before, 30,
               "what was published is given up and written again, not doubled")
    assert job.stop() == FINISHED
    assert all_rows(job) == before


def test_a_damaged_state_file_is_named_with_what_goes_on(job):
    file = next(path for path in sorted(newest(job).rglob("*.sst")))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.unlink()  # the others have it by hard links
    file.write_bytes(content)
    refused(job, file.name, "events:0=6", "events:1=3", "--restore ID --accept-duplicates")
    file.unlink()
    refused(job, file.name, "missing", "events:0=6", "--restore ID --accept-duplicates")


def test_a_partition_that_is_gone_is_no_end(job):
    shutil.move(job.events / "partition-1", job.folder / "kept")
    refused(job, "partition events:1 was read up to line 3", "--restore none")
    shutil.move(job.folder / "kept", job.events / "partition-1")
    shutil.move(job.events, job.folder / "moved")
    job.config["source"]["file"]["dir"] = str(job.folder / "moved")
    refused(job, "partition events:0 was read up to line 6")
