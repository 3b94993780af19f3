"""The logic of the comparison over Kafka, without Kafka: what rows should be, whether they are, what is written."""
import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bench/compare"))
spec = importlib.util.spec_from_file_location("kafka_run", ROOT / "bench/compare/kafka/kafka_run.py")
kafka_run = importlib.util.module_from_spec(spec)
sys.modules["kafka_run"] = kafka_run
spec.loader.exec_module(kafka_run)

LINES = ["P|1000|vicky|v@x.com|1 2 3 4|cheyenne|az|5|x", "B|1230|1001|250|Google|https://a/b|1436918400005|extra", "A|1|i|d|1|2|5|6|1000|10|x",
         "B|1231|1002|300|channel-7|https://a/c|1436918400006|more"]


@pytest.fixture(name="events")
def events_file(tmp_path):
    path = tmp_path / "events.txt"
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


def test_only_bids_are_sent_with_all_their_fields(events):
    sent = [json.loads(kafka_run.as_json(bid)) for bid in kafka_run.bids_of(events)]
    assert len(sent) == 2
    assert sent[0] == {"auction": 1230, "bidder": 1001, "price": 250, "channel": "Google", "url": "https://a/b", "dateTime": 1436918400005,
                       "extra": "extra"}


def written(query, **more):
    """What a right program writes for the first bid, with `more` wrong."""
    row = {"auction": 1230, "bidder": 1001, "price": 227_000 if query == "q1" else 250, "dateTime": 1436918400005, "extra": "extra", **more}
    return json.dumps({"auction": row["auction"], "price": row["price"]} if query == "q2" else row)


@pytest.mark.parametrize("query, rows", [("q0", 2), ("q1", 2), ("q2", 1)])
def test_what_a_query_gives_is_made_from_the_bids(events, query, rows):
    assert kafka_run.expected_of([query], events)[query][0] == rows


@pytest.mark.parametrize("query", ["q0", "q1", "q2"])
def test_rows_read_back_equal_what_was_expected_whatever_their_order(events, query):
    bids = list(kafka_run.bids_of(events))
    second = kafka_run.row_of(query, *(bids[1][i] for i in (0, 1, 2, 5, 6)))
    back = [kafka_run.row_in(query, written(query))]
    assert kafka_run.tally([second, *back] if second else back) == kafka_run.expected_of([query], events)[query]


@pytest.mark.parametrize("query, wrong", [("q0", {"extra": "extrA"}), ("q1", {"price": 250}), ("q2", {"price": 251}), ("q0", {"bidder": 1})])
def test_one_wrong_field_is_seen(query, wrong):
    assert kafka_run.tally([kafka_run.row_in(query, written(query, **wrong))]) != kafka_run.tally([kafka_run.row_in(query, written(query))])


def test_a_doubled_row_is_seen():
    row = kafka_run.row_in("q0", written("q0"))
    assert kafka_run.tally([row, row]) != kafka_run.tally([row])


def test_the_report_gives_medians_by_the_loop_and_names_wrong_rows():
    def turn(name, number, cpu, right=True):
        return kafka_run.Turn(name, "q0", number, cpu, 1e5, 0.5, 2, right, 0.1)
    turns = [turn("hand", 0, 1.0), turn("tidemill", 0, 1.2), turn("tidemill", 1, 1.4), turn("hand", 1, 1.0), turn("flink", 0, 4.0, right=False)]
    o = kafka_run.arguments(["--queries", "q0"], ["hand", "tidemill", "flink"])
    text = kafka_run.report(turns, {"hand": "by hand", "tidemill": "Tidemill", "flink": "Flink"}, {"quix": "no pip"}, o, [])
    assert "| q0 | Tidemill | 1.30 (1.20 to 1.40) | 1.30 | 100,000 | 0.50 | 2 | yes |" in text
    assert "| q0 | Flink | 4.00 (4.00 to 4.00) | 4.00 | 100,000 | 0.50 | 2 | **NO** |" in text
    assert "- quix: no pip" in text


@pytest.mark.parametrize("words, why", [(["--queries", "q5"], "there is no q5"), (["--only", "storm"], "there is no storm")])
def test_wrong_words_are_refused(words, why, capsys):
    with pytest.raises(SystemExit):
        kafka_run.arguments(words, ["hand"])
    assert why in capsys.readouterr().err
