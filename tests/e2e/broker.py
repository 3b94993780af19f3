"""Real Apache Kafka nodes in KRaft mode on loopback ports, to be killed, frozen and restarted.

Every node has two client listeners: the *direct* one for the tests' own clients, and the *proxied*
one, whose advertised port belongs to a fault proxy (fault_proxy.py): a job that is given the
proxy's address cannot bypass it. Without a proxy the second listener is unused.
"""

import functools
import shutil
import subprocess
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewTopic)

from process import ChildProcess, free_port, wait_until

READY_S = 60


@functools.cache
def kafka_lib():
    """The folder of Kafka's jars, fetched when they are not there yet."""
    script = Path(__file__).parents[2] / "scripts" / "kafka-jars"
    return subprocess.run([script], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)  # little time in the JIT


def java(*arguments, heap="256m", flags=SHORT_LIVED):
    """A Java command line over Kafka's jars."""
    return ["java", f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseSerialGC", *flags, "-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp", f"{kafka_lib()}/*", *arguments]


def kafka_tool(main_class, *arguments, deadline_s=60):
    """Runs one of Kafka's command-line tools and returns its output."""
    done = subprocess.run(java(main_class, *arguments), capture_output=True, text=True,
                          timeout=deadline_s, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{main_class} failed ({done.returncode}): {done.stdout}{done.stderr}")
    return done.stdout


class BrokerNode:
    """One process that is broker and controller. Ports and data survive kill() and start()."""

    def __init__(self, folder, node_id=1, properties=None, jvm_flags=SHORT_LIVED):
        self.jvm_flags = jvm_flags
        self.folder = Path(folder)
        self.node_id = node_id
        self.extra = dict(properties or {})
        self.direct_port, self.proxied_port, self.controller_port, self.proxy_port = (
            free_port() for _ in range(4))
        self.child = None

    @property
    def address(self):
        return f"127.0.0.1:{self.direct_port}"

    @property
    def proxied_address(self):
        """What a job is given: the port the fault proxy listens on."""
        return f"127.0.0.1:{self.proxy_port}"

    def format(self, cluster_id, voters, replication):
        """Writes server.properties and formats the log folder. Once per node."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.quorum.voters": voters,
            "listeners": f"DIRECT://127.0.0.1:{self.direct_port},"
                         f"PROXIED://127.0.0.1:{self.proxied_port},"
                         f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"DIRECT://127.0.0.1:{self.direct_port},"
                                    f"PROXIED://127.0.0.1:{self.proxy_port}",
            "inter.broker.listener.name": "DIRECT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map":
                "DIRECT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.folder / "data",
            "num.network.threads": 2,
            "num.io.threads": 4,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": replication,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": replication,
            "transaction.state.log.min.isr": max(1, replication - 1),
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
            "log.cleaner.dedupe.buffer.size": 16777216,
            # Timed-out transactions are looked for every 10 s by default: too slow for a test.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 200,
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            **self.extra,
        }
        config = self.folder / "server.properties"
        config.write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        kafka_tool("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config))

    def start(self):
        """Starts the process; does not wait (see Cluster.wait_ready)."""
        self.child = ChildProcess(
            java("kafka.Kafka", str(self.folder / "server.properties"), heap="384m",
                 flags=self.jvm_flags),
            self.folder / "broker.log")
        self.child.start()

    def kill(self):
        self.child.kill()

    def freeze(self):
        self.child.freeze()

    def thaw(self):
        self.child.thaw()


class Cluster:
    """One node (the default) or several, ready for transactions when start() returns."""

    def __init__(self, folder, nodes=1, properties=None, jvm_flags=SHORT_LIVED):
        self.folder = Path(folder)
        self.nodes = [BrokerNode(self.folder / f"node-{i + 1}", i + 1, properties, jvm_flags)
                      for i in range(nodes)]
        self._admin = None

    @property
    def address(self):
        """The direct addresses: for the tests' own clients."""
        return ",".join(node.address for node in self.nodes)

    @property
    def proxied_address(self):
        return ",".join(node.proxied_address for node in self.nodes)

    def start(self):
        voters = ",".join(f"{n.node_id}@127.0.0.1:{n.controller_port}" for n in self.nodes)
        cluster_id = kafka_tool("kafka.tools.StorageTool", "random-uuid").split()[-1]
        for node in self.nodes:
            node.format(cluster_id, voters, len(self.nodes))
        for node in self.nodes:
            node.start()
        self.wait_ready()
        self._create_internal_topics()
        return self

    def wait_ready(self):
        """Until every node answers Metadata; an accepted connection would be too early."""
        for node in self.nodes:
            self.wait_node_ready(node)

    @staticmethod
    def wait_node_ready(node):
        admin = AdminClient({"bootstrap.servers": node.address, "log_level": 0})

        def answered():
            if not node.child.running():
                raise RuntimeError(f"broker {node.node_id} ended:\n{node.child.tail()}")
            try:
                return any(b.id == node.node_id
                           for b in admin.list_topics(timeout=1).brokers.values())
            except KafkaException:
                return False

        wait_until(answered, READY_S, f"broker {node.node_id} answers Metadata", 0.05)

    def restart(self, node=None):
        """Starts a killed node again on its data and waits until it serves.

        Serving means that the transaction coordinator has loaded its log, not only Metadata.
        """
        node = node or self.nodes[0]
        node.start()
        self.wait_node_ready(node)
        self._init_transactions()

    def stop(self):
        for node in self.nodes:
            if node.child is not None:
                node.child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def admin(self):
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        return self._admin

    def create_topic(self, name, partitions=1, **config):
        """Event times lie anywhere, so nothing is deleted by age unless the test says so.

        Settings are given with underscores: max_message_bytes=1000.
        """
        settings = {"retention.ms": "-1",
                    **{k.replace("_", "."): str(v) for k, v in config.items()}}
        self.admin.create_topics([NewTopic(name, partitions, min(3, len(self.nodes)),
                                           config=settings)])[name].result(30)
        # Created is not yet known everywhere: wait for leaders, as a client would see them.
        wait_until(lambda: self._has_leaders(name, partitions), 30, f"topic {name} has leaders")
        return name

    def set_topic(self, name, **config):
        """Changes settings of a topic, named as in create_topic."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[
            ConfigEntry(k.replace("_", "."), str(v),
                        incremental_operation=AlterConfigOpType.SET)
            for k, v in config.items()])
        self.admin.incremental_alter_configs([resource])[resource].result(30)

    def delete_topic(self, name):
        self.admin.delete_topics([name])[name].result(30)
        wait_until(lambda: name not in self.admin.list_topics(timeout=10).topics, 30,
                   f"topic {name} is deleted")

    def leader(self, topic, partition):
        """The node that leads this partition now."""
        leader = self.admin.list_topics(topic, timeout=10).topics[topic].partitions[partition].leader
        return next(node for node in self.nodes if node.node_id == leader)

    def delete_before(self, topic, partition, offset):
        """As retention would: the partition starts at that offset afterwards."""
        place = TopicPartition(topic, partition, offset)
        assert self.admin.delete_records([place])[place].result(30).low_watermark == offset

    def end_offsets(self, topic, committed=True):
        """The end of every partition: the last stable offset, or (committed=False) the high
        watermark, which lies behind it while a transaction is open."""
        consumer = self._reader(committed)
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                    for p in sorted(partitions)}
        finally:
            consumer.close()

    def _reader(self, committed):
        return Consumer({"bootstrap.servers": self.address, "group.id": "tests-offsets",
                         "enable.auto.commit": False, "log_level": 0,
                         "isolation.level": "read_committed" if committed
                         else "read_uncommitted"})

    def _has_leaders(self, name, partitions):
        topic = self.admin.list_topics(name, timeout=10).topics[name]
        return len(topic.partitions) == partitions and all(
            p.leader >= 0 for p in topic.partitions.values())

    def _init_transactions(self):
        producer = Producer({"bootstrap.servers": self.address, "log_level": 0,
                             "transactional.id": "tests-touch", "retry.backoff.ms": 50})
        end = time.monotonic() + READY_S
        while True:
            try:
                producer.init_transactions(5)
                return
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > end:
                    raise

    def _create_internal_topics(self):
        """Both topics are made at first use; no test's timing or fault should meet that."""
        self._init_transactions()
        consumer = self._reader(True)

        def found():
            try:
                consumer.committed([TopicPartition("__transaction_state", 0)], timeout=5)
                return True
            except KafkaException:
                return False

        wait_until(found, READY_S, "__consumer_offsets serves", 0.05)
        consumer.close()
