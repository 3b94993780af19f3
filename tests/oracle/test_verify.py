"""verify.py, from the directories to the exit code: outputs altered, dropped and doubled."""

import base64
import copy
import json
import os
import random
import shutil

import pytest
from naive_job import run_on_record

import file_log
import generate_events
import oracle
import verify

FLAGS = ["--windows", "1m,10m,1h", "--disorder", "2s", "--lateness", "20s"]


class Run:
    """A run's directories: the generator's input and what a right job would have committed."""

    def __init__(self, root, emit):
        self.input, self.output = f"{root}/user-events", f"{root}/ml-features"
        self.late, self.bad = f"{root}/user-events-late", f"{root}/user-events-dlq"
        self.flags = [*FLAGS, "--emit", emit]
        generator = generate_events.Generator(1500, 12, 4 * 3_600_000, 3, 2_000, 20_000, seed=5)
        target = generate_events.FileLog(self.input, 3, 200)
        target.deliver(generator.partitions())
        target.close()
        self.rules = oracle.Settings(("1m", "10m", "1h"), "auto", 2_000, 20_000, emit)
        judged = oracle.judge(oracle.read_input(self.input), self.rules)
        lines = [[] for _ in range(3)]
        for user, rows in self.rows(judged).items():
            partition = (verify.murmur2(user.encode()) & 0x7FFFFFFF) % 3
            lines[partition] += [oracle.print_row(user, row, self.rules).encode() for row in rows]
        write(self.output, lines, 100)
        write(self.late, [[letter(r, "late") for r in judged.late.values()]])
        write(self.bad, [[letter(r, reason) for reason, r in judged.bad.values()]])

    def rows(self, judged):
        if self.rules.emit != "on_record":
            return {user: oracle.expected_rows(events, self.rules, judged.end)
                    for user, events in judged.by_user.items()}
        partitions = {}
        for p, records in oracle.read_input(self.input).items():
            partitions[p] = [oracle.parse_event(record) for record in records
                             if (p, record.offset) not in judged.bad]
        return run_on_record([partitions[p] for p in sorted(partitions)], self.rules,
                             random.Random(1))

    def verify(self, capsys):
        status = verify.main([self.input, self.output, *self.flags])
        return status, capsys.readouterr().out

    def change(self, topic, change):
        """Rewrites partition 0 of a topic with its lines changed by `change`."""
        path = os.path.join(topic, "partition-0")
        lines = [text for _, text in file_log.read_partition(path)]
        for name in os.listdir(path):
            os.remove(os.path.join(path, name))
        writer = file_log.PartitionWriter(topic, 0)
        writer.append(change(lines))
        writer.close()


def write(topic, partitions, records_per_file=20_000):
    for partition, lines in enumerate(partitions):
        writer = file_log.PartitionWriter(topic, partition, records_per_file)
        if lines:
            writer.append(lines)
        writer.close()


def letter(record, reason):
    fields = {"partition": record.partition, "offset": record.offset, "reason": reason,
              "key": None}
    try:
        fields["value"] = record.value.decode()
    except UnicodeDecodeError:
        fields |= {"encoding": "base64", "value": base64.b64encode(record.value).decode()}
    return json.dumps(fields).encode()


@pytest.fixture(scope="module", params=["on_watermark", "coalesced", "on_record"])
def made(request, tmp_path_factory):
    return Run(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def run(made, tmp_path):
    """A copy, to be spoiled."""
    spoiled = copy.copy(made)
    for topic in ("input", "output", "late", "bad"):
        path = getattr(made, topic)
        setattr(spoiled, topic, str(tmp_path / os.path.basename(path)))
        shutil.copytree(path, getattr(spoiled, topic))
    return spoiled


def test_a_right_run_is_proven(run, capsys):
    status, text = run.verify(capsys)
    assert status == 0 and text.endswith("rows equal the oracle: yes\n")
    assert "events in: 1500 " in text and "0 lost, 0 doubled" in text
    assert "bad by reason: action: missing: 1" in text and "late by reason: late: " in text


def altered(lines):
    lines[7] = lines[7].replace(b'"event_count_1h":', b'"event_count_1h":1')
    return lines


def altered_average(lines):
    at = next(i for i, text in enumerate(lines) if b'"avg_value_1h":null' not in text)
    row = json.loads(lines[at])
    row["avg_value_1h"] += 1e-5
    lines[at] = json.dumps(row).encode()
    return lines


@pytest.mark.parametrize("change", [
    altered,
    altered_average,
    lambda lines: lines[1:],  # the first of a key is always that of a record
    lambda lines: lines[:-1],
    lambda lines: lines[:7] + lines[7:8] + lines[7:],
    lambda lines: [],
    lambda lines: lines[:7] + [b"{}"] + lines[7:],
    lambda lines: lines[:7] + [b"not json"] + lines[8:],
    lambda lines: [lines[0].replace(b'"last_action":', b'"lastAction":')] + lines[1:],
    lambda lines: [lines[0].replace(b'.000Z"}', b'Z"}').replace(b'Z"}', b'+00:00"}')] + lines[1:],
], ids=["alter", "alter average", "drop", "drop last", "double", "drop all", "empty row", "garbage",
        "field name", "time form"])
def test_one_wrong_row_is_seen(run, capsys, change):
    run.change(run.output, change)
    status, text = run.verify(capsys)
    assert status == 1 and text.endswith("rows equal the oracle: no\n")


def test_every_single_dropped_or_doubled_row_is_seen(tmp_path, capsys):
    run = Run(tmp_path, "on_watermark")
    judged = oracle.judge(oracle.read_input(run.input), run.rules)
    output = verify.read_files(run.output, run.late, run.bad, judged, run.rules)
    user = max(output.rows, key=lambda user: len(output.rows[user]))
    rows = output.rows[user]
    for i in range(0, len(rows), max(1, len(rows) // 20)):
        for changed in (rows[:i] + rows[i + 1:], rows[:i] + rows[i:i + 1] + rows[i:]):
            found = verify.Differences()
            verify.compare_key(user, judged.by_user[user], changed, run.rules, judged.end, None,
                               found)
            assert found.count


def test_a_row_in_the_wrong_partition_is_seen(run, capsys):
    moved = [text for _, text in file_log.read_partition(os.path.join(run.output, "partition-0"))]
    run.change(run.output, lambda lines: [])
    writer = file_log.PartitionWriter(run.output, 3)
    writer.append(moved)
    writer.close()
    status, text = run.verify(capsys)
    assert status == 1 and "outside the partition of their key" in text


def test_a_missing_output_file_is_seen(run, capsys):
    files = sorted(os.listdir(os.path.join(run.output, "partition-0")))
    assert len(files) > 1
    os.remove(os.path.join(run.output, "partition-0", files[0]))
    status, text = run.verify(capsys)
    assert status == 1 and text.endswith("rows equal the oracle: no\n")


@pytest.mark.parametrize("side", ["late", "bad"])
@pytest.mark.parametrize("change, word", [
    (lambda lines: lines[1:], "lost"),
    (lambda lines: lines + lines[:1], "doubled"),
    (lambda lines: [lines[0].replace(b'"value": "', b'"value": "x')] + lines[1:], "not that of"),
], ids=["drop", "double", "alter"])
def test_a_wrong_late_or_bad_event_is_seen(run, capsys, side, change, word):
    run.change(getattr(run, side), change)
    status, text = run.verify(capsys)
    assert status == 1 and "late and bad events equal the oracle: no" in text
    assert "rows equal the oracle: yes" in text and word in text


def test_wrong_usage_is_exit_2(tmp_path, capsys):
    assert verify.main([str(tmp_path), str(tmp_path), "--windows", "soon"]) == 2
    capsys.readouterr()


def test_murmur2_is_that_of_java():
    # From the tests of Kafka's own client (UtilsTest.testMurmur2).
    for text, expected in ((b"21", -973932308), (b"foobar", -790332482),
                           (b"a-little-bit-long-string", -985981536),
                           (b"a-little-bit-longer-string", -1486304829),
                           (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
                           (b"abc", 479470107)):
        assert verify.murmur2(text) == expected & 0xFFFFFFFF


@pytest.mark.parametrize("made", ["on_watermark"], indirect=True)
def test_a_stopped_run_owes_what_its_watermark_has_settled(run, capsys):
    run.flags = list(run.flags)
    judged = oracle.judge(oracle.read_input(run.input), run.rules)
    settled = judged.watermark(run.rules) - run.rules.lateness
    for p in range(3):
        path = os.path.join(run.output, f"partition-{p}")
        lines = [text for _, text in file_log.read_partition(path)
                 if oracle.parse_iso(json.loads(text)["computed_at"]) < settled]
        shutil.rmtree(path)
        writer = file_log.PartitionWriter(run.output, p)
        writer.append(lines)
        writer.close()
    run.flags.append("--unfinished")
    assert run.verify(capsys)[0] == 0
    run.flags.remove("--unfinished")
    assert run.verify(capsys)[0] == 1
