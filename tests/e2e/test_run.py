"""`tidemill run`: one job supervised in the foreground, without a server."""

import json
import os
import signal
import subprocess

import pytest
from file_job import FileJob, event
from job import FAILED, FINISHED, REFUSED, WRONG_USAGE, binary
from process import ChildProcess, wait_until

QUICK = ("--restart-backoff", "20ms", "--restart-max-backoff", "40ms")


class Script:
    """A job that is a shell script: what it does in its n-th run is the n-th of `runs`."""

    def __init__(self, folder, *runs):
        self.path = folder / "job"
        self.runs = folder / "runs"
        cases = "".join(f"{i + 1}) {run} ;;\n" for i, run in enumerate(runs))
        self.path.write_text(f"""#!/bin/sh
case "$*" in *--print-config*) printf 'job: "s"  # default\\ncheckpoint.dir: "{folder}/none"  # default\\n'; exit ;; esac
echo run >> {self.runs}
case $(wc -l < {self.runs}) in
{cases}*) exit 0 ;; esac
""")
        self.path.chmod(0o755)

    def run(self, *flags):
        done = subprocess.run([binary("tidemill"), "run", *QUICK, *flags, self.path], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr, len(self.runs.read_text().splitlines())


def supervised(job, *flags, log="run.log"):
    """The real job below `tidemill run`; its own flags as the job has them."""
    child = ChildProcess([binary("tidemill"), "run", *QUICK, *job._command(), *flags], job.folder / log, cwd=job.folder, env=job._environment())
    return child.start()


def job_process(child):
    found = subprocess.run(["ps", "--ppid", str(child.process.pid), "-o", "pid="], capture_output=True, text=True, check=False)
    return int(found.stdout) if found.stdout.strip() else None


@pytest.fixture
def job(tmp_path):
    made = FileJob(tmp_path, source={"file": {"dir": str(tmp_path / "events"), "follow": True}})
    made.append(0, *[event(f"u{i % 5}", i) for i in range(100)])
    return made


def test_a_killed_job_is_started_again_and_ctrl_c_stops_with_a_checkpoint(job):
    child = supervised(job)
    try:
        wait_until(lambda: len(job.rows()) == 100, 30, "100 rows")
        first = job_process(child)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: job_process(child) not in (None, first), 30, "another process")
        job.append(1, *[event(f"v{i % 5}", 100 + i) for i in range(50)])
        wait_until(lambda: len(job.rows()) >= 150, 30, "150 rows")
        child.signal(signal.SIGINT)
        assert child.wait(30) == FINISHED, child.tail()
        assert len(job.rows()) == 150, "nothing twice"
        log = child.log()
        assert "killed by signal 9 (SIGKILL)" in log and "started again from its last checkpoint" in log
        assert "features: stopped  events 50" in log, "the job's own last line"
    finally:
        child.kill()
    code, out, _ = job.tell("--inspect", "latest")
    assert code == FINISHED and "100" in out and "50" in out, out


def test_a_second_signal_cancels_and_the_job_dies_with_its_supervisor(job):
    child = supervised(job)
    try:
        wait_until(lambda: len(job.rows()) == 100, 30, "100 rows")
        process = job_process(child)
        os.kill(process, signal.SIGSTOP)  # it cannot take a checkpoint before the second one is there
        child.signal(signal.SIGTERM)
        child.signal(signal.SIGINT)
        os.kill(process, signal.SIGCONT)
        assert child.wait(30) == FINISHED, child.tail()
        child = supervised(job, log="again.log")
        wait_until(lambda: "http://" in child.log() or job_process(child), 30, "it runs")
        process = wait_until(lambda: job_process(child), 30, "a process")
        child.kill()
        wait_until(lambda: not os.path.exists(f"/proc/{process}"), 10, "the job is gone with its supervisor")
    finally:
        child.kill()


def test_exit_codes_that_no_restart_can_mend_are_passed_on(tmp_path, job):
    for wanted in (WRONG_USAGE, REFUSED):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        assert Script(folder, f"exit {wanted}").run()[::2] == (wanted, 1)
    child = supervised(job, "--restore", "none", "--no-such-flag")
    assert child.wait(30) == WRONG_USAGE and "--no-such-flag" in child.log()


def test_a_failure_is_retried_and_a_crash_loop_is_told_with_its_cause(tmp_path):
    once = tmp_path / "once"
    once.mkdir()
    code, err, runs = Script(once, "echo 'error: no disk' >&2; exit 1").run()
    assert (code, runs) == (FINISHED, 2) and "the job ended: exit 1: no disk" in err and "crash loop" not in err
    loop = tmp_path / "loop"
    loop.mkdir()
    same = "echo \"error: no space for $(wc -l < runs 2>/dev/null) rows\" >&2; exit 1"
    code, err, runs = Script(loop, *[same] * 9).run("--restart-limit", "5")
    assert (code, runs) == (FAILED, 5)
    assert "crash loop: ended 3 times for one reason" in err
    assert "gave up after 5 ends without a new checkpoint in between; the last: exit 1: no space for" in err.splitlines()[-1]


@pytest.mark.parametrize("words, told", [
    ((), "which program?"), (("--restart-lmit", "3", "./x"), "--restart-lmit"), (("job",), "./job"), (("./nowhere",), "./nowhere"),
    (("/bin/true",), "is it a Tidemill job?")])
def test_what_is_wrong_is_told(words, told, tmp_path):
    done = subprocess.run([binary("tidemill"), "run", *words], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == WRONG_USAGE and told in done.stderr, done.stderr
    assert json.dumps(done.stdout) == '""'
