"""The job's control topic, read and tampered with from outside."""

from confluent_kafka import Producer

from ledger import read_topic


def control_topic(job_name):
    return f"{job_name}.__commits"


def records(cluster, job_name):
    """All commit records that are still there, oldest first."""
    return sorted(read_topic(cluster, control_topic(job_name), partitions=[0]),
                  key=lambda r: r.offset)


def append(cluster, job_name, key, value):
    """Adds a record that no job wrote."""
    producer = Producer({"bootstrap.servers": cluster.address})
    producer.produce(control_topic(job_name), value, key, 0)
    assert producer.flush(20) == 0
