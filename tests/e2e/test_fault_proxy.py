"""Each fault of the proxy does what it says, seen from a real client and a real broker."""

import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from fault_proxy import Answered, Fault, Request, Rule, Seen

INVALID_PRODUCER_EPOCH, PRODUCER_FENCED = 47, 90


@pytest.fixture
def topic(kafka, name):
    return kafka.create_topic(name)


@pytest.fixture
def producer(proxy, name):
    """Makes transactional producers behind the proxy, ready to begin."""
    def make(**settings):
        made = Producer({
            "bootstrap.servers": proxy.address, "transactional.id": name, "client.id": name,
            "transaction.timeout.ms": 30_000, "socket.timeout.ms": 1500,
            "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100, "retry.backoff.ms": 20,
            "linger.ms": 0, "log_level": 0, **settings})
        made.init_transactions(10)
        return made
    return make


def transaction(producer, topic, *values):
    """One committed transaction; the calls that time out are resumed, as the job does."""
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value.encode())
    commit(producer)


def commit(producer, deadline_s=20):
    end = time.monotonic() + deadline_s
    while True:
        try:
            producer.commit_transaction(1)
            return
        except KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > end:
                raise


def committed(kafka, topic):
    """All read_committed values of partition 0 up to its last stable offset."""
    return read(kafka.address, topic, kafka.end_offsets(topic)[0])


def read(address, topic, end, client="tests"):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "tests", "client.id": client,
                         "enable.auto.commit": False, "isolation.level": "read_committed",
                         "enable.partition.eof": True, "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    values, position, deadline = [], 0, time.monotonic() + 20
    while position < end:
        assert time.monotonic() < deadline, f"read to {position} of {end}"
        message = consumer.poll(1)
        if message is None:
            continue
        position = message.offset() + (message.error() is None)
        if message.error() is None:
            values.append(message.value().decode())
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
    consumer.close()
    return values


def test_plain_transactional_produce_and_consume_pass(kafka, proxy, producer, topic, name):
    p = producer()
    transaction(p, topic, "a", "b")
    p.begin_transaction()
    p.produce(topic, b"aborted")
    p.flush(10)
    p.abort_transaction(10)
    transaction(p, topic, "c")
    end = kafka.end_offsets(topic)[0]
    assert read(proxy.address, topic, end, client="behind-proxy") == ["a", "b", "c"]
    assert proxy.count("EndTxn", name) == 3
    assert proxy.count("InitProducerId", name) == 1
    assert proxy.count("Fetch", "behind-proxy") > 0


def test_request_header_is_read():
    frame = (b"\x00\x1a\x00\x01\x00\x00\x00\x2a" b"\x00\x03abc" b"rest")
    assert Request.parse(frame) == Request("EndTxn", 1, 42, "abc", frame)
    assert Request.parse(b"\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff").client == ""


def test_a_rule_strikes_only_what_it_names(proxy, producer, topic):
    other = proxy.add(Rule(Fault.CUT, api="EndTxn", client="somebody-else"))
    bytes_elsewhere = proxy.add(Rule(Fault.CUT, api="EndTxn", contains=b"no-such-id"))
    second = proxy.add(Rule(Fault.CUT, api="EndTxn", nth=2))
    p = producer()
    transaction(p, topic, "a")
    assert (second.matched, second.hits) == (1, 0)
    transaction(p, topic, "b")
    assert second.hits == 1
    assert (other.hits, bytes_elsewhere.hits) == (0, 0)
    with pytest.raises(ValueError, match="unknown api"):
        Rule(Fault.CUT, api="EndTransaction")


def test_a_probability_strikes_a_share(proxy, producer, topic):
    rule = proxy.add(Rule(Fault.DELAY, api="Produce", probability=0.5))
    p = producer()
    for i in range(40):
        transaction(p, topic, str(i))
    assert 5 <= rule.hits <= 35, rule.hits


def test_delay_holds_the_request(proxy, producer, topic):
    p = producer()
    transaction(p, topic, "warm")
    rule = proxy.add(Rule(Fault.DELAY, api="EndTxn", seconds=0.7))
    start = time.monotonic()
    transaction(p, topic, "a")
    assert 0.7 <= time.monotonic() - start < 5
    assert rule.hits == 1, "a delay below the socket timeout causes no retry"


def test_delayed_answer_comes_after_the_request_was_processed(kafka, proxy, producer, topic):
    p = producer()
    rule = proxy.add(Rule(Fault.DELAY_ANSWER, api="EndTxn", seconds=1.2))
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    start = time.monotonic()
    with pytest.raises(KafkaException) as timed_out:
        p.commit_transaction(0.4)
    assert timed_out.value.args[0].retriable()
    assert committed(kafka, topic) == ["a"], "the broker has committed; only the answer waits"
    commit(p)
    assert time.monotonic() - start >= 1.2
    assert rule.hits == 1


def test_dropped_request_is_never_processed_and_times_out(kafka, proxy, producer, topic):
    p = producer()
    rule = proxy.add(Rule(Fault.DROP, api="EndTxn", nth=1))
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    start = time.monotonic()
    with pytest.raises(KafkaException):
        p.commit_transaction(0.7)
    assert rule.hits == 1
    assert committed(kafka, topic) == []
    commit(p)
    assert time.monotonic() - start >= 1.4, "nothing but the socket timeout can notice a drop"
    assert committed(kafka, topic) == ["a"]


def test_dropped_answer_is_of_a_processed_request(kafka, proxy, producer, topic):
    p = producer()
    rule = proxy.add(Rule(Fault.DROP_ANSWER, api="EndTxn", nth=1))
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    with pytest.raises(KafkaException):
        p.commit_transaction(0.7)
    assert rule.hits == 1
    assert committed(kafka, topic) == ["a"]
    commit(p)
    assert committed(kafka, topic) == ["a"]


def test_cut_closes_before_processing(kafka, proxy, producer, topic):
    p = producer(**{"reconnect.backoff.ms": 2000, "reconnect.backoff.max.ms": 2000})
    rule = proxy.add(Rule(Fault.CUT, api="EndTxn", nth=1))
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    with pytest.raises(KafkaException):
        p.commit_transaction(0.5)
    assert rule.hits == 1
    assert committed(kafka, topic) == []
    start = time.monotonic()
    commit(p)
    assert time.monotonic() - start < 10
    assert committed(kafka, topic) == ["a"]


def test_cut_answer_closes_after_processing(kafka, proxy, producer, topic):
    p = producer(**{"reconnect.backoff.ms": 2000, "reconnect.backoff.max.ms": 2000})
    rule = proxy.add(Rule(Fault.CUT_ANSWER, api="EndTxn", nth=1))
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    with pytest.raises(KafkaException):
        p.commit_transaction(0.5)
    assert rule.hits == 1
    assert committed(kafka, topic) == ["a"]
    commit(p)
    assert committed(kafka, topic) == ["a"]


def test_half_open_swallows_everything_until_the_client_gives_up(kafka, proxy, producer, topic):
    p = producer()
    rule = proxy.add(Rule(Fault.HALF_OPEN, api="EndTxn", nth=1))
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    start = time.monotonic()
    commit(p)
    assert time.monotonic() - start >= 1.4, "only the socket timeout ends a half-open connection"
    assert rule.hits == 1
    assert committed(kafka, topic) == ["a"]


def test_late_request_reaches_the_broker_after_its_connection_has_gone(
        kafka, proxy, producer, topic, name):
    """The late EndTxn of transaction 1 arrives while transaction 2 is open, in the same epoch: it
    commits half of transaction 2. This is the fault rule R exists for."""
    p = producer(**{"socket.timeout.ms": 10_000})
    late = proxy.add(Rule(Fault.LATE, api="EndTxn", nth=1, until=Answered("Produce")))
    transaction(p, topic, "one")  # succeeds by a retry over a new connection
    assert late.hits == 1 and late.delivered == []
    p.begin_transaction()
    p.produce(topic, b"two, first half")
    p.flush(10)
    assert late.wait_delivered(10) == [0], "the broker accepts it"
    assert committed(kafka, topic) == ["one", "two, first half"], "torn: nobody committed this"


def test_late_request_of_an_older_epoch_is_refused(kafka, proxy, producer, topic):
    """The same with rule R: a new producer in between."""
    p = producer()
    late = proxy.add(Rule(Fault.LATE, api="EndTxn", nth=1, until=Answered("Produce")))
    transaction(p, topic, "one")
    del p
    p = producer()
    p.begin_transaction()
    p.produce(topic, b"two")
    p.flush(10)
    assert late.wait_delivered(10)[0] in (INVALID_PRODUCER_EPOCH, PRODUCER_FENCED)
    assert committed(kafka, topic) == ["one"]
    commit(p)
    assert committed(kafka, topic) == ["one", "two"]


def test_late_request_can_overtake_one_that_is_delayed(kafka, proxy, producer, topic):
    """Released when the next owner's InitProducerId arrives, which itself waits: the late EndTxn is
    applied before the fence, although its sender has long gone."""
    p = producer()
    late = proxy.add(Rule(Fault.LATE, api="EndTxn", nth=1, until=Seen("InitProducerId")))
    proxy.add(Rule(Fault.DELAY, api="InitProducerId", nth=1, seconds=0.5))
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    proxy.add(Rule(Fault.CUT, api="EndTxn"))  # no retry gets through
    with pytest.raises(KafkaException):
        p.commit_transaction(0.5)
    assert committed(kafka, topic) == []
    producer()
    assert late.delivered == [0]
    assert committed(kafka, topic) == ["a"]


def test_late_request_waits_its_seconds(proxy, producer, topic):
    p = producer()
    late = proxy.add(Rule(Fault.LATE, api="EndTxn", nth=1, seconds=0.8))
    start = time.monotonic()
    transaction(p, topic, "one")
    late.wait_delivered(10)
    assert time.monotonic() - start >= 0.8


def test_cut_all_closes_live_connections(proxy, producer, topic, name):
    disconnects = []
    p = producer(error_cb=lambda e: disconnects.append(e.code()))
    transaction(p, topic, "a")
    proxy.cut_all(client=name)
    transaction(p, topic, "b")
    p.poll(0)
    assert KafkaError._TRANSPORT in disconnects or KafkaError._ALL_BROKERS_DOWN in disconnects


def test_broker_killed_behind_the_proxy_and_restarted(kafka, proxy, producer, topic):
    # A broker with the topics of many tests needs longer than half a minute to come back on a busy machine: it would have aborted.
    p = producer(**{"transaction.timeout.ms": 300_000})
    transaction(p, topic, "a")
    p.begin_transaction()
    p.produce(topic, b"b")
    p.flush(10)
    kafka.nodes[0].kill()
    with pytest.raises(KafkaException):
        p.commit_transaction(0.5)
    kafka.restart()
    commit(p)
    assert committed(kafka, topic) == ["a", "b"]


def test_frozen_broker_stalls_and_goes_on(kafka, proxy, producer, topic):
    p = producer()
    p.begin_transaction()
    p.produce(topic, b"a")
    p.flush(10)
    kafka.nodes[0].freeze()
    with pytest.raises(KafkaException):
        p.commit_transaction(0.5)
    kafka.nodes[0].thaw()
    commit(p)
    assert committed(kafka, topic) == ["a"]
