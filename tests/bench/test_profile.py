"""What bench/profile makes of a profiler's output, and what it says where it cannot."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from profiling import flame_graph, stacks  # noqa: E402

SAMPLES = """nexmark
\t    30 tidemill::Window::process(int)
\t    20 tidemill::Task::step(unsigned long)
\t    10 start_thread

nexmark
\t    40 memcpy
\t    20 tidemill::Task::step(unsigned long)
\t    10 start_thread

nexmark
\t    30 tidemill::Window::process(int)
\t    20 tidemill::Task::step(unsigned long)
\t    10 start_thread

other thread
\t    50 [unknown]
"""
STEP, PROCESS = "tidemill::Task::step(unsigned long)", "tidemill::Window::process(int)"


def test_the_same_stack_is_counted_from_the_outermost_function():
    assert stacks.of_perf(SAMPLES.splitlines()) == {("start_thread", STEP, PROCESS): 2, ("start_thread", STEP, "memcpy"): 1, ("[unknown]",): 1}


def test_the_last_sample_counts_without_an_empty_line_behind_it():
    assert sum(stacks.of_perf(SAMPLES.rstrip().splitlines()).values()) == 4


@pytest.mark.parametrize("line", ["\t    30 frame before any thread", "nexmark\n\tno address"])
def test_anything_else_is_refused(line):
    with pytest.raises(stacks.Unreadable):
        stacks.of_perf(line.splitlines())


def test_only_what_is_below_the_tasks_is_kept():
    assert stacks.below(stacks.of_perf(SAMPLES.splitlines()), "tidemill::Task::step") == {(STEP, PROCESS): 2, (STEP, "memcpy"): 1}


@pytest.mark.parametrize("name, short", [
    (STEP, "tidemill::Task::step"), ("memcpy", "memcpy"), ("[unknown]", "[unknown]"),
    ("void tidemill::Batch<std::pair<int, long> >::append<int>(int&&)", "tidemill::Batch::append"),
    ("bool tidemill::(anonymous namespace)::Driver::step() const", "tidemill::Driver::step"),
    ("std::ostream& operator<< <char>(std::ostream&, char const*)", "operator<<"),
    ("tidemill::f(int)::{lambda(int)#1}::operator()(int) const", "tidemill::f::{lambda#1}::operator()")])
def test_names_lose_what_is_in_brackets(name, short):
    assert stacks.without_arguments(name) == short


# step calls a and b, both call shared: a three times as much.
CALLGRIND = """events: Ir
fn=(1) step(unsigned long)
10 10
cfn=(2) a
calls=1 5
10 80
cfn=(3) b
calls=1 7
10 30
fn=(2)
5 20
cfn=(4) shared
calls=3 9
5 60
fn=(3)
7 10
cfn=(4)
calls=1 9
7 20
fn=(4)
9 80
"""


def test_callgrind_shares_a_callee_among_its_callers_as_their_calls():
    assert stacks.of_callgrind(CALLGRIND.splitlines()) == {
        ("step(unsigned long)",): 10, ("step(unsigned long)", "a"): 20, ("step(unsigned long)", "b"): 10,
        ("step(unsigned long)", "a", "shared"): 60, ("step(unsigned long)", "b", "shared"): 20}


def test_callgrind_without_costs_is_refused():
    with pytest.raises(stacks.Unreadable):
        stacks.of_callgrind(["events: Ir"])


def boxes(svg):
    """What each box says, and how wide it is."""
    space = "{http://www.w3.org/2000/svg}"
    return {group.find(f"{space}title").text: float(group.find(f"{space}rect").get("width"))
            for group in ElementTree.fromstring(svg).iter(f"{space}g")}


def test_boxes_are_as_wide_as_what_was_spent():
    drawn = boxes(flame_graph.draw(stacks.of_perf(SAMPLES.splitlines()), "<title>", "below", "samples"))
    width = {told.split(": ")[0]: px for told, px in drawn.items()}
    whole = width["all"]
    assert width["start_thread"] == pytest.approx(whole * 3 / 4, abs=0.1)
    found = {told: px for told, px in drawn.items() if told.startswith(f"{PROCESS}: 50.0%, itself 50.0%")}
    assert list(found.values()) == [pytest.approx(whole / 2, abs=0.1)]


def test_nothing_is_not_drawn():
    with pytest.raises(ValueError):
        flame_graph.draw({}, "", "", "samples")


def test_most_adds_up_a_function_whoever_calls_it():
    assert flame_graph.most({("a", "c"): 1, ("b", "c"): 1, ("a",): 2}, 1) == [(0.5, "c")]


# --- the program, with a perf that answers as it is told ---


def profile(tmp_path, perf, *words, path=None):
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    for name, script in {"perf": perf, "nexmark": "exit 0"}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "samples").write_text(SAMPLES)
    environment = {**os.environ, "PATH": f"{programs}:{path or os.environ['PATH']}", "TIDEMILL_BIN": str(programs)}
    return subprocess.run([sys.executable, ROOT / "bench/profile", *words, "--out", tmp_path / "out"], env=environment, capture_output=True, text=True,
                          check=False)


PERF = 'case $1 in script) cat "$(dirname "$0")/../samples" ;; esac'
NO_PERF = 'echo "Permission denied" >&2; exit 255'


def test_a_query_becomes_an_svg(tmp_path):
    done = profile(tmp_path, PERF, "q5", "--events", "1000")
    assert done.returncode == 0, done.stderr
    svg = (tmp_path / "out/flame-q5.svg").read_text()
    assert "3 samples by perf" in svg and "start_thread" not in svg and f"{STEP}: 100.0%" in svg
    assert re.search(r"66\.7%\s+tidemill::Window::process", done.stdout)


def test_all_threads_are_drawn_when_asked_for(tmp_path):
    assert profile(tmp_path, PERF, "q5", "--whole").returncode == 0
    assert "4 samples by perf" in (tmp_path / "out/flame-q5.svg").read_text()


def test_a_perf_that_may_not_sample_is_said(tmp_path):
    done = profile(tmp_path, NO_PERF, "q5", "--with", "perf")
    assert done.returncode == 1 and "perf_event_paranoid" in done.stderr and "Permission denied" in done.stderr


def test_without_either_profiler_it_is_said_what_to_install(tmp_path):
    done = profile(tmp_path, NO_PERF, "q5", path=str(tmp_path))
    assert done.returncode == 1 and "callgrind is used instead" in done.stderr and "apt-get install valgrind" in done.stderr


def test_a_program_that_fails_shows_its_words(tmp_path):
    done = profile(tmp_path, 'case " $* " in *" nexmark "*|*/nexmark*) echo broken input >&2; exit 3 ;; esac', "q5")
    assert done.returncode == 1 and "ended with 3" in done.stderr and "broken input" in done.stderr


def test_no_stack_of_a_task_is_no_graph(tmp_path):
    done = profile(tmp_path, "case $1 in script) printf 'nexmark\\n\\t 1 main\\n' ;; esac", "q5")
    assert done.returncode == 1 and "no stack has" in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("words, why", [((), "name a query"), (("q23",), "no query q23"), (("q5", "--events", "0"), "--events wants"),
                                        (("q5", "--run", "true"), "name a query")])
def test_wrong_words_are_refused(tmp_path, words, why):
    done = subprocess.run([sys.executable, ROOT / "bench/profile", *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2 and why in done.stderr
