"""Builds and runs the test stages and counts their cases; scripts/test is the way to call it.

A stage whose tests do not exist yet says so and counts nothing. One that exists and cannot be built or run counts as a failure.
"""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORES = len(os.sched_getaffinity(0))
STARTED = time.monotonic()
FUZZ_SECONDS_BESIDE = "8"  # a target, where everything else runs too; `scripts/test fuzz` takes a minute

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:suppressions={ROOT}/tests/tsan.suppressions",
}


class Count:
    def __init__(self, passed=0, failed=0):
        self.passed, self.failed = passed, failed

    def __add__(self, other):
        return Count(self.passed + other.passed, self.failed + other.failed)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed"


def say(text):
    print(text, flush=True)


def failure(text):
    say(f"FAILED: {text}")
    return Count(0, 1)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def processor_seconds():
    """What the commands that have ended took, and theirs: unlike the clock, little changed by what runs beside them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(*command, **options):
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, check=False, **options)


def run_quietly(*command):
    """Runs a command and shows what it printed only if it failed."""
    result = run(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode != 0:
        say(result.stdout)
    return result


# --- counting ---


def count_cases(report):
    """Test cases in a JUnit file of GoogleTest or pytest; skipped and disabled ones count as neither."""
    count = Count()
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            count.failed += 1
        elif case.get("status") != "notrun" and case.get("result") != "skipped" and case.find("skipped") is None:
            count.passed += 1
    return count


def count_ctest(results, exit_code):
    """Cases of a ctest run that left ctest.xml and one NAME.xml for each GoogleTest program in `results`.

    A program that is no GoogleTest is one case. A program that failed without a failed case (it crashed, hung, leaked) is one
    failure more, and so is a run that failed as a whole.
    """
    count = Count()
    report = results / "ctest.xml"
    for test in xml.etree.ElementTree.parse(report).iter("testcase") if report.exists() else ():
        skipped = test.find("skipped")
        # ctest also calls skipped what it could not start
        never_ran = skipped is not None and not skipped.get("message", "").startswith("SKIP_")
        status = "fail" if never_ran else test.get("status")
        cases = results / f"{test.get('name')}.xml"
        try:
            inside = count_cases(cases) if cases.exists() else Count(passed=int(status == "run"))
        except xml.etree.ElementTree.ParseError:  # the program died while writing it
            inside = Count()
        if status == "fail" and not inside.failed:
            inside.failed = 1
        count += inside
    if exit_code != 0 and not count.failed:
        count.failed = 1
    return count


def count_summary(output, exit_code):
    """Cases of a program whose last line is "N passed, N failed"."""
    lines = output.strip().splitlines()
    match = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1].strip()) if lines else None
    count = Count(int(match[1]), int(match[2])) if match else Count()
    if not count.failed and (exit_code != 0 or not match):
        count.failed = 1
    return count


# --- building ---


def configure(preset, *definitions):
    return run_quietly("cmake", "--preset", preset, *definitions).returncode == 0


def build(preset, targets):
    begun, used = time.monotonic(), processor_seconds()
    done = run("cmake", "--build", f"build/{preset}", "--target", *targets).returncode == 0
    say(f"built for {preset} in {clock(time.monotonic() - begun)}, {clock(processor_seconds() - used)} of a processor")
    return done


def known_targets(preset):
    listing = run("ninja", "-C", f"build/{preset}", "-t", "targets", "all", stdout=subprocess.PIPE).stdout
    return {line.split(":")[0] for line in listing.splitlines()}


def all_targets(preset, pattern):
    return sorted(target for target in known_targets(preset) if re.match(pattern, target))


def programs_of(tests, preset):
    """The programs under build/PRESET that these tests run or name in their arguments or environment, as build targets.

    Read from the files that CMake writes for ctest: ctest itself hides the command of a program that is not built yet.
    """
    folder = ROOT / "build" / preset
    found = set()
    for file in folder.rglob("CTestTestfile.cmake"):
        for line in file.read_text().splitlines():
            match = re.match(r"(?:add_test|set_tests_properties)\((?:\[=*\[)?(.+?)(?:\]=*\])? ", line)
            if match and match[1] in tests:
                found.update(re.findall(re.escape(f"{folder}/") + r'([^\s";:,]+)', line))
    return sorted(found & known_targets(preset))


# --- the stages ---

# Every test has one of these labels, or nothing would run it.
LABELS = {"unit", "operator", "architecture", "scenario", "simulation", "e2e", "threads", "fuzz", "controls"}


def labels_of_tests(preset, *select):
    """The name of each selected test and its labels."""
    listing = run("ctest", "--test-dir", f"build/{preset}", *select, "--show-only=json-v1", stdout=subprocess.PIPE)
    return {test["name"]: {label for one in test.get("properties", []) if one["name"] == "LABELS" for label in one["value"]}
            for test in json.loads(listing.stdout)["tests"]}


def build_tests(preset, labels, definitions=()):
    """Configures PRESET and builds what the tests with one of these labels need; returns why it could not, or nothing."""
    if not configure(preset, *definitions):
        return f"cmake --preset {preset}"
    programs = programs_of(labels_of_tests(preset, "-L", any_of(labels)), preset)
    if programs and not build(preset, programs):
        return f"the build of {preset}"
    return None


def any_of(labels):
    return f"^({'|'.join(labels)})$"


def fixed_addresses(preset):
    """Newer kernels place memory where the thread sanitizer of g++ 12 does not expect it, unless told not to."""
    return ["setarch", "-R"] if preset == "tsan" and run("setarch", "-R", "true").returncode == 0 else []


def ctest(preset, *labels, inside=(), definitions=()):
    """Builds what the tests with one of these labels need and runs them, as the last words of the command `inside`."""
    problem = build_tests(preset, labels, definitions)
    if problem:
        return failure(problem)
    select = ["--test-dir", f"build/{preset}", "-L", any_of(labels)]
    if not labels_of_tests(preset, *select[2:]):
        say(f"no tests are labelled {' or '.join(labels)} yet")
        return Count()
    results = ROOT / "build" / preset / "test-results"
    shutil.rmtree(results, ignore_errors=True)
    result = run(*fixed_addresses(preset), *inside, "ctest", *select, "-j", str(CORES), "--output-on-failure", "--output-junit", results / "ctest.xml",
                 env={**SANITIZER_OPTIONS, **os.environ})
    return count_ctest(results, result.returncode)


def tests_python():
    """The Python that has the packages of tests/requirements.txt; a path that cannot be run if it cannot be made."""
    return f"{run(ROOT / 'scripts/venv', stdout=subprocess.PIPE).stdout.strip() or '/no-venv'}/bin/python"


def pytest(*arguments, preset="release"):
    """Runs the tests in these folders or files, test_*.py, with the programs of PRESET."""
    report = ROOT / f"build/{preset}/test-results/pytest.xml"
    report.unlink(missing_ok=True)
    result = run(*fixed_addresses(preset), "env", tests_python(), "-B", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short",
                 f"--junitxml={report}", *arguments,
                 env={**SANITIZER_OPTIONS, **os.environ, "TIDEMILL_BIN": str(ROOT / f"build/{preset}/bin")})
    count = count_cases(report) if report.exists() else Count()
    if result.returncode != 0 and not count.failed:
        count.failed = 1
    return count


def python_test_folders():
    """Folders under tests/ with test_*.py."""
    return sorted({str(path.parent.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py")})


def labels():
    """Every test has a label that a stage runs."""
    count = Count()
    for name, own in labels_of_tests("release").items():
        if not own & LABELS:
            count += failure(f"the test {name} has none of the labels {', '.join(sorted(LABELS))}: no stage runs it")
    return count


def headers(preset):
    say("compiling the headers that have no source of their own")
    return Count(passed=1) if build(preset, ["headers_alone"]) else failure("a header does not stand alone")


def python():
    """The tests of scripts and tools."""
    folders = [folder for folder in python_test_folders() if not folder.startswith("tests/e2e")]
    return pytest("-q", *folders) if folders else Count()


def unit():
    return ctest("release", "unit", "operator", "architecture") + labels() + headers("release") + python()


def scenario():
    count = ctest("release", "scenario")
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/scenarios/*.scenario"))
    if not files:
        say("there are no scenario files yet")
        return count
    if not build("release", ["bin/tidemill"]):
        return count + failure("the build of bin/tidemill")
    for backend, parallelism, restart in product(("memory", "rocksdb"), ("1", "3"), ([], ["--restart-everywhere"])):
        options = ["--backend", backend, "--parallelism", parallelism, *restart]
        result = run("build/release/bin/tidemill", "scenario", *options, *files, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        one = count_summary(result.stdout, result.returncode)
        if one.failed:
            say(result.stdout)
        say(f"scenario {' '.join(options)}: {one}")
        count += one
    return count


def simulation():
    return ctest("release", "simulation", "controls")


def e2e():
    # The tests find every program in build/release/bin, and install what a job outside this tree is built from.
    problem = build_tests("release", ["e2e", "controls"])
    programs = "bin/(?!.*(_bench|larger_than_memory|hand_loop|kafka_bids|kafka_bids_by_hand)$)"  # what only measures is left to who measures
    if not problem and not build("release", [*all_targets("release", f"{programs}|lib[^/]*[.]a$"), "documents"]):
        problem = "the build of release"
    if problem:
        return failure(problem)
    count = labels() + ctest("release", "controls") + ctest("release", "e2e", inside=("env", tests_python(), "-B", "scripts/test_servers.py"))
    folders = [folder for folder in python_test_folders() if folder.startswith("tests/e2e")]
    if not folders:
        say("there are no end-to-end tests in Python yet")
        return count
    # They mostly wait: for servers, time-outs and dying processes. Each worker has a broker of its own.
    return count + pytest("-v", "-n", str(CORES + 1), "--dist", "worksteal", "--durations=40", *folders)


def cost():
    """What Nexmark's queries take, against what is on record; not before, as it is timed too, while the servers of e2e run."""
    if not build("release", ["bin/nexmark"]):
        return failure("the build of bin/nexmark")
    result = run("bench/nexmark/gate.py", stdout=subprocess.PIPE)
    say(result.stdout)
    return count_summary(result.stdout, result.returncode)


def address_sanitizer():
    count = ctest("asan", "unit", "operator", "architecture", "simulation") + headers("asan")
    # Here it is seen that clang takes all modules and their headers.
    return count if build("asan", all_targets("asan", "lib[^/]*[.]a$")) else count + failure("the build of asan")


def thread_sanitizer():
    return ctest("tsan", "threads")


def whole_job_with_thread_sanitizer():
    """A job with all its threads.

    Not on Kafka: the sanitizer of g++ 12 does not see librdkafka's threads begin (thrd_create), and crashes in them.
    """
    if not configure("tsan") or not build("tsan", ["bin/feature_pipeline"]):
        return failure("the build of tsan")
    return pytest("-q", "-k", "not kafka", "tests/e2e/test_finished.py", preset="tsan")


def fuzz():
    # In the tree of the address sanitizer: what it compiled is what is fuzzed.
    return ctest("asan", "fuzz", definitions=[f"-DTIDEMILL_FUZZ_SECONDS={os.environ.get('FUZZ_SECONDS', 60)}"])


STAGES = {"unit": [unit], "scenario": [scenario], "simulation": [simulation], "e2e": [e2e], "fuzz": [fuzz], "cost": [cost]}
STAGES["sanitizers"] = [address_sanitizer, thread_sanitizer, whole_job_with_thread_sanitizer, fuzz]
STAGES["all"] = [e2e, scenario, python, cost]  # and the sanitizers beside them


class Beside:
    """The sanitizers, in a process of their own with what the end-to-end tests, which mostly wait, leave of the processors.

    What they print is shown when they have ended.
    """

    def __init__(self):
        self.log = ROOT / "build/sanitizers.log"
        self.log.parent.mkdir(exist_ok=True)
        with open(self.log, "w", encoding="utf-8") as log:
            # A group of its own, to be stopped; not a session, which Linux gives a share of the processors whatever its niceness.
            self.process = subprocess.Popen(["nice", "-n", "15", sys.executable, __file__, "sanitizers"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, process_group=0, env={"FUZZ_SECONDS": FUZZ_SECONDS_BESIDE, **os.environ})
        say(f"beside these: unit, operator and simulation tests with sanitizers, fuzzing: {self.log.relative_to(ROOT)}")

    def finish(self):
        """Its test cases, and its lines of the table."""
        self.process.wait()
        output = self.log.read_text(encoding="utf-8", errors="replace")
        say(output)
        _, ended, result = output.rpartition("\n=== result")
        return count_summary(output, self.process.returncode), result.strip().splitlines()[1:-1] if ended else []

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)


def title_of(stage):
    return stage.__name__.replace("_", " ")


def run_stages(name, beside):
    total, table = Count(), []
    for stage in STAGES[name]:
        title, begun, used = title_of(stage), time.monotonic(), processor_seconds()
        say(f"\n=== {title} (after {clock(begun - STARTED)}) ===")
        count = stage()
        total += count
        table.append(f"{title:<31} {str(count):<24} {clock(time.monotonic() - begun)}, {clock(processor_seconds() - used)} of a processor")
        say(table[-1])
    if beside:
        say(f"\n=== what ran beside these (after {clock(time.monotonic() - STARTED)}) ===")
        count, lines = beside.finish()
        total += count
        table += lines
    say(f"\n=== result (after {clock(time.monotonic() - STARTED)}) ===")
    say("\n".join(table))
    if not total.passed + total.failed:
        say("no test ran")
    say(total)
    return 1 if total.failed or not total.passed else 0


def main(name):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    beside = Beside() if name == "all" else None
    try:
        return run_stages(name, beside)
    finally:
        if beside:
            beside.stop()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
