"""The comparison's own logic, without any peer: what is read, what is called wrong or too slow, what is written."""
import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bench/compare"))
import contenders  # noqa: E402
import figures  # noqa: E402
import installs  # noqa: E402
import run as runner  # noqa: E402
import tables  # noqa: E402

EVENTS = 1000


def a_pass(cpu_s=0.001, wall_s=0.002, rows=7, query="q5", events=EVENTS, **more):
    return json.dumps({"query": query, "events": events, "rows": rows, "cpu_s": cpu_s, "wall_s": wall_s, **more})


def parsed(*lines, query="q5"):
    return figures.parse_turn("peer", query, 0, "\n".join(lines), EVENTS)


def turn(contender, cpu_ns, query="q5", number=0, rows=7, checksum=None):
    return figures.Turn(contender, query, number, cpu_ns, 1e6, rows, checksum, peak_mb=100)


def summaries(*turns, expected=None, references=None, speed=1.0):
    return {(s.contender, s.query): s for s in figures.summarise(turns, expected or {}, references or {}, speed)}


# --- reading ---


def test_a_turn_is_the_median_of_its_passes():
    told = parsed("a log line", a_pass(0.009), a_pass(0.001), a_pass(0.002))
    assert told.cpu_ns == pytest.approx(2000)
    assert told.events_per_s == pytest.approx(500_000)
    assert (told.rows, told.checksum) == (7, None)


def test_a_checked_pass_gives_the_checksum_and_no_time():
    told = parsed(a_pass(0.001), a_pass(5.0, checksum="ab"))
    assert told.cpu_ns == pytest.approx(1000)
    assert told.checksum == "00000000000000ab"


@pytest.mark.parametrize("lines, why", [
    ((), "no measured pass"),
    ((a_pass(checksum="ab"),), "no measured pass"),
    (("{broken",), "cannot be read"),
    ((json.dumps({"query": "q5", "events": EVENTS, "rows": 7}),), "cannot be read"),
    ((a_pass(query="q7"),), "was asked for"),
    ((a_pass(events=EVENTS + 1),), "was asked for"),
    ((a_pass(rows=7), a_pass(rows=8)), "different numbers of rows"),
    ((a_pass(rows=7), a_pass(rows=8, checksum="ab")), "7 rows when timed and 8 when checked"),
])
def test_output_that_does_not_say_what_it_should_is_refused(lines, why):
    with pytest.raises(figures.BadOutput, match=why):
        parsed(*lines)


def test_of_nexmark_the_warm_up_does_not_count():
    lines = [json.dumps({"query": "q5", "events": EVENTS, "rows": 7, "wall_s": 0.5, "cpu_ns_per_event": ns, "hand_cpu_ns_per_event": ns / 2})
             for ns in (900.0, 10.0, 10.0)]
    asked = contenders.Run("q5", EVENTS, 10)
    assert parsed(contenders.read_nexmark("\n".join(lines), asked)).cpu_ns == pytest.approx(10)
    by_hand = parsed(contenders.read_nexmark("\n".join(lines), asked, by_hand=True))
    assert by_hand.cpu_ns == pytest.approx(5)


def test_turns_go_there_and_back():
    assert figures.turn_order(["a", "b", "c"], 3) == [(0, "a"), (0, "b"), (0, "c"), (1, "c"), (1, "b"), (1, "a"), (2, "a"), (2, "b"), (2, "c")]


# --- judging ---


def test_rows_are_right_only_if_number_and_checksum_are():
    expected = {"q5": (7, "ab")}
    right = summaries(turn("flink", 10, checksum="ab"), turn("flink", 10, number=1), expected=expected)
    assert right["flink", "q5"].rows_right is True
    assert summaries(turn("flink", 10, checksum="ac"), expected=expected)["flink", "q5"].rows_right is False
    assert summaries(turn("flink", 10, checksum="ab"), turn("flink", 10, number=1, rows=8), expected=expected)["flink", "q5"].rows_right is False
    assert summaries(turn("flink", 10))["flink", "q5"].rows_right is None


def test_ratios_are_taken_round_by_round():
    found = summaries(turn("tidemill", 10, number=0), turn("tidemill", 40, number=1), turn("flink", 200, number=0), turn("flink", 800, number=1))
    assert found["flink", "q5"].of_tidemill == pytest.approx(20)
    assert (found["flink", "q5"].cpu_ns_min, found["flink", "q5"].cpu_ns_max) == (200, 800)


def test_a_peer_far_above_its_scaled_reference_is_to_be_explained():
    references = {("flink", "q5"): 100.0, ("hand", "q5"): 10.0}
    turns = [turn("hand", 20), turn("flink", 310)]
    speed = figures.machine_speed(turns, references)
    assert speed == pytest.approx(2)
    assert summaries(*turns, references=references, speed=speed)["flink", "q5"].to_explain
    turns[1] = turn("flink", 290)
    found = summaries(*turns, references=references, speed=speed)["flink", "q5"]
    assert not found.to_explain and found.reference_ns == pytest.approx(200)


def test_without_a_common_loop_by_hand_nothing_is_flagged():
    references = {("flink", "q5"): 1.0, ("hand", "q7"): 1.0}
    assert figures.machine_speed([turn("hand", 20)], references) is None
    assert not summaries(turn("flink", 1e6), references=references, speed=None)["flink", "q5"].to_explain


def test_references_name_known_contenders_and_queries():
    names = {c.name: c for c in contenders.all_contenders(Path("nexmark"))}
    for contender, query in figures.read_references():
        assert query in names[contender].queries


# --- who takes part ---


def options(*words):
    return runner.arguments(list(words), ["hand", "tidemill", "flink"])


def test_peers_can_be_chosen_and_left_out():
    all_of_them = [contenders.Contender(name, name, ("q0",), None, None) for name in ("hand", "tidemill", "flink")]
    assert [c.name for c in runner.chosen(all_of_them, options("--without", "flink"))] == ["hand", "tidemill"]
    assert [c.name for c in runner.chosen(all_of_them, options("--only", "flink,hand"))] == ["hand", "flink"]


@pytest.mark.parametrize("words, why", [
    (("--only", "flunk"), "there is no flunk; there are hand, tidemill, flink"),
    (("--without", "storm"), "there is no storm"),
    (("--queries", "q99"), "q99 is none of"),
    (("--rounds", "0"), "--rounds wants a number"),
])
def test_wrong_words_are_refused_with_what_there_is(words, why, capsys):
    with pytest.raises(SystemExit) as end:
        options(*words)
    assert end.value.code == 2
    assert why in capsys.readouterr().err


def test_a_peer_that_cannot_be_had_is_reported_and_the_others_run():
    def unreachable():
        raise installs.Missing("the registry does not answer")
    there, missing = runner.prepare([contenders.Contender("flink", "Flink", ("q0",), unreachable, None),
                                     contenders.Contender("hand", "by hand", ("q0",), lambda: ["nexmark"], None)])
    assert [c.called for c in there] == [["nexmark"]]
    assert missing == {"flink": "the registry does not answer"}


def test_a_step_of_an_installation_that_fails_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(installs, "CACHE", tmp_path)
    with pytest.raises(installs.Missing, match="ended with 3, its log is .*no such artifact"):
        installs.run_logged("mvn", "sh", "-c", "echo no such artifact; exit 3")


def test_half_an_installation_is_made_again(tmp_path):
    made = []

    def fail(folder):
        made.append(folder)
        (folder / "half").touch()
        raise installs.Missing("no")
    with pytest.raises(installs.Missing):
        installs.once(tmp_path / "jars", fail)
    installs.once(tmp_path / "jars", made.append)
    assert len(made) == 2 and not (tmp_path / "jars/half").exists()
    installs.once(tmp_path / "jars", made.append)
    assert len(made) == 2


def test_a_start_up_is_one_pass():
    run = contenders.Run("q0", 50, 1000, Path("events.txt"), is_start_up=True)
    assert "--warm-up 0 --measure 0" in " ".join(contenders.peer_arguments(6, 2)(run))
    assert "--repeat 1 " in " ".join(contenders.nexmark_arguments()(run))
    run.is_start_up = False
    assert "--warm-up 6 --measure 2" in " ".join(contenders.peer_arguments(6, 2)(run))


# --- a process ---


def test_a_process_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(installs, "CACHE", tmp_path)
    with pytest.raises(figures.BadOutput, match="was ended after 0 s"):
        runner.call([sys.executable, "-c", "import time; time.sleep(600)"], 0.2)


def test_a_process_that_fails_says_its_last_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(installs, "CACHE", tmp_path)
    with pytest.raises(figures.BadOutput, match="ended with 3: it is broken"):
        runner.call(["sh", "-c", "echo it is broken >&2; exit 3"], 60)


def test_the_peak_is_that_of_this_process_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(installs, "CACHE", tmp_path)
    large = runner.call([sys.executable, "-c", "held = bytearray(300 << 20); print('done')"], 60)
    small = runner.call(["true"], 60)
    assert large.output == "done\n"
    assert large.peak_mb > 300 > small.peak_mb


# --- what is written ---


def result(*turns, expected, missing=None, references=None):
    return {"date": "2026-01-01 00:00", "machine": "2 cores", "command": "scripts/compare", "events": EVENTS, "rate": 10, "rounds": 1,
            "missing": missing or {}, "summaries": figures.summarise(turns, expected, references or {}, 2.0), "speed": 2.0,
            "start_ups": {"flink": 1.5}, "others": 0.1, "others_most": 0.2, "plots": ["cpu.svg"]}


LABELS = {"hand": "loop by hand", "tidemill": "Tidemill", "timely": "Timely", "flink": "Flink", "jet": "Jet"}


def test_the_table_names_wrong_rows_slow_peers_and_who_is_missing():
    text = tables.markdown(result(turn("hand", 5), turn("tidemill", 10, checksum="ab"), turn("flink", 700, checksum="ac"), expected={"q5": (7, "ab")},
                                  missing={"jet": "javac is not installed"}, references={("flink", "q5"): 100.0}), LABELS)
    assert "| q5 | 5.00 | 10.0 | 700 **ROWS WRONG** (1) 200 |" in text
    assert "| q5 | 2.00, +5.0 | – | 1/70.0 | – |" in text
    assert "| q5 | Flink | 700 (700 to 700) | 70.0 | 1,000,000 | 100 | 7 | **NO** |" in text
    assert "- Jet: javac is not installed" in text
    assert "| Flink | 1.50 |" in text and "![cpu.svg](cpu.svg)" in text


def test_timely_is_compared_from_the_same_start():
    labels = {**LABELS, "timely-in-place": "Timely in place"}
    text = tables.markdown(result(turn("tidemill", 10), turn("timely", 5), turn("timely-in-place", 4), expected={"q5": (7, "ab")}), labels)
    assert "| q5 | – | 2.50 | – | – |" in text
    text = tables.markdown(result(turn("tidemill", 10), turn("timely", 5), expected={"q5": (7, "ab")}), labels)
    assert "| q5 | – | 2.00 | – | – |" in text


def test_the_csv_has_a_row_a_turn(tmp_path):
    tables.write_csv(tmp_path / "turns.csv", [turn("flink", 10, checksum="ab"), turn("jet", 20)])
    with open(tmp_path / "turns.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["contender"], float(r["cpu_ns"]), r["checksum"]) for r in rows] == [("flink", 10.0, "ab"), ("jet", 20.0, "")]


def test_help_needs_no_build_and_no_network():
    told = subprocess.run([ROOT / "scripts/compare", "--help"], stdout=subprocess.PIPE, text=True, check=True, env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere"})
    assert "--without" in told.stdout and "timely" in told.stdout
