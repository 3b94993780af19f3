"""A proxy between Kafka clients and a broker that knows where requests begin and end.

It reads the length-prefixed frames of the Kafka protocol and the header of each request (api key,
version, correlation id, client id), so that a rule can hit one kind of request of one client, and
can do what no plain TCP proxy can: hand a request to the broker *after* its connection has gone.

    proxy = FaultProxy(node.proxy_port, node.proxied_port).start()
    late = proxy.add(Rule(Fault.LATE, api="EndTxn", nth=1, until=Answered("Produce", 1)))
    ...
    late.wait_delivered(10)

Rules are tried in the order they were added; the first that matches *and* strikes wins. The proxy
runs in one thread of its own; all methods may be called from any thread.
"""

import asyncio
import enum
import random
import struct
import threading
from dataclasses import dataclass, field
from typing import Optional, Union

from process import wait_until

API_KEYS = {
    "Produce": 0, "Fetch": 1, "ListOffsets": 2, "Metadata": 3, "OffsetCommit": 8,
    "OffsetFetch": 9, "FindCoordinator": 10, "JoinGroup": 11, "Heartbeat": 12, "LeaveGroup": 13,
    "SyncGroup": 14, "DescribeGroups": 15, "ApiVersions": 18, "CreateTopics": 19,
    "InitProducerId": 22, "AddPartitionsToTxn": 24, "AddOffsetsToTxn": 25, "EndTxn": 26,
    "TxnOffsetCommit": 28, "DescribeConfigs": 32,
}
API_NAMES = {key: name for name, key in API_KEYS.items()}


class Fault(enum.Enum):
    DELAY = "the request waits (those behind it on its connection too), then goes on"
    DELAY_ANSWER = "the same for the answer"
    DROP = "the broker never sees the request; the connection lives, so the client times out"
    DROP_ANSWER = "the broker processes it, the client never hears; the connection lives"
    CUT = "the connection is closed before the broker sees the request"
    CUT_ANSWER = "the broker processes it, the connection is closed instead of the answer"
    HALF_OPEN = "from this request on the connection swallows everything, both ways"
    LATE = "the client's connection is closed now; the broker gets the request afterwards"


@dataclass(frozen=True)
class Request:
    """One request as its header tells; `frame` is all of it without the length."""
    api: str
    version: int
    correlation: int
    client: str
    frame: bytes

    @staticmethod
    def parse(frame):
        key, version, correlation, length = struct.unpack_from(">hhih", frame)
        client = frame[10:10 + length].decode(errors="replace") if length > 0 else ""
        return Request(API_NAMES.get(key, str(key)), version, correlation, client, frame)


@dataclass(frozen=True)
class Answered:
    """Release of a late request: once `count` later requests of this kind have been answered."""
    api: str
    count: int = 1
    client: str = ""


@dataclass(frozen=True)
class Seen:
    """The same, once they have arrived at the proxy: before the broker sees the last of them, if
    another rule delays it."""
    api: str
    count: int = 1
    client: str = ""


@dataclass(eq=False)
class Rule:
    """Which requests, what happens to them, and what has happened so far.

    Of the requests that match api, client (a part of the client id) and contains (bytes anywhere
    in the frame, such as a transactional id), only the nth (from 1), or each with `probability`,
    is struck, and at most `times` in all.
    """
    fault: Fault
    api: Optional[str] = None
    client: str = ""
    contains: bytes = b""
    nth: Optional[int] = None
    probability: float = 1.0
    times: Optional[int] = None
    seconds: float = 0.0  # DELAY, DELAY_ANSWER: how long. LATE: this long after its release
    until: Union[Answered, Seen, None] = None  # LATE only; None: at once (then `seconds` later)
    matched: int = 0
    hits: int = 0
    delivered: list = field(default_factory=list)  # LATE: error code of each late answer, or None

    def __post_init__(self):
        if self.api is not None and self.api not in API_KEYS:
            raise ValueError(f"unknown api {self.api!r}: one of {', '.join(API_KEYS)}")

    def strikes(self, request, rng):
        if (self.api not in (None, request.api) or self.client not in request.client
                or self.contains not in request.frame):
            return False
        self.matched += 1
        if self.times is not None and self.hits >= self.times:
            return False
        if self.nth is not None and self.matched != self.nth:
            return False
        if self.probability < 1 and rng.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def wait_hit(self, deadline_s, hits=1):
        wait_until(lambda: self.hits >= hits, deadline_s, f"{self.fault.name} {self.api} struck",
                   0.001)

    def wait_delivered(self, deadline_s, count=1):
        """Until that many late requests were answered; their error codes (0: applied)."""
        wait_until(lambda: len(self.delivered) >= count, deadline_s,
                   f"late {self.api} delivered", 0.001)
        return list(self.delivered)


class _Held:
    """A late request waiting for its release."""

    def __init__(self, until):
        self.until = until
        self.missing = until.count if until else 0
        self.released = asyncio.Event()
        if self.missing == 0:
            self.released.set()

    def note(self, kind, request):
        if (isinstance(self.until, kind) and self.until.api == request.api
                and self.until.client in request.client):
            self.missing -= 1
            if self.missing <= 0:
                self.released.set()


class _Connection:
    """One client's connection and the one to the broker that serves it."""

    def __init__(self, proxy, client, broker):
        self.proxy = proxy
        self.client_reader, self.client = client
        self.broker_reader, self.broker = broker
        self.pending = {}  # correlation id -> (request, rule that strikes its answer or None)
        self.swallow = False
        self.late = False
        self.client_id = ""

    async def run(self):
        requests = asyncio.create_task(self._requests())
        answers = asyncio.create_task(self._answers())
        try:
            await asyncio.wait({requests, answers}, return_when=asyncio.FIRST_COMPLETED)
            if self.late and not answers.done():
                self.client.close()
                await asyncio.wait({requests, answers})
        finally:
            for task in (requests, answers):
                task.cancel()
            await asyncio.gather(requests, answers, return_exceptions=True)
            self.client.close()
            self.broker.close()

    async def _requests(self):
        while True:
            frame = await _read_frame(self.client_reader)
            if frame is None:
                return
            if self.swallow:
                continue
            request = Request.parse(frame)
            self.client_id = request.client
            rule = self.proxy._strike(request)
            fault = rule.fault if rule else None
            if fault is Fault.CUT:
                return
            if fault is Fault.DROP:
                continue
            if fault is Fault.HALF_OPEN:
                self.swallow = True
                continue
            if fault is Fault.LATE:
                await self._deliver_late(request, rule)
                return
            if fault is Fault.DELAY:
                await asyncio.sleep(rule.seconds)
            on_answer = rule if fault in (Fault.DROP_ANSWER, Fault.CUT_ANSWER,
                                          Fault.DELAY_ANSWER) else None
            self.pending[request.correlation] = (request, on_answer)
            await _write_frame(self.broker, frame)

    async def _answers(self):
        while True:
            frame = await _read_frame(self.broker_reader)
            if frame is None:
                return
            (correlation,) = struct.unpack_from(">i", frame)
            request, rule = self.pending.pop(correlation, (None, None))
            if request is not None:
                self.proxy._note(Answered, request)
            if self.late:
                if rule is not None:
                    rule.delivered.append(_error_code(request, frame))
                    return
                continue
            if self.swallow:
                continue
            if rule is not None:
                if rule.fault is Fault.CUT_ANSWER:
                    return
                if rule.fault is Fault.DROP_ANSWER:
                    continue
                await asyncio.sleep(rule.seconds)
            await _write_frame(self.client, frame)

    async def _deliver_late(self, request, rule):
        """The broker's side of the connection is kept: it is authenticated and its order is the
        client's. The client sees its connection close at once."""
        held = self.proxy._hold(rule)
        self.late = True
        self.client.close()
        try:
            await held.released.wait()
            await asyncio.sleep(rule.seconds)
            self.pending[request.correlation] = (request, rule)
            await _write_frame(self.broker, request.frame)
        finally:
            self.proxy._let_go(held)


class FaultProxy:
    """Listens on one loopback port for one broker port. Start and stop it once, change its rules
    at will. The seed decides what rules with a probability strike."""

    def __init__(self, listen_port, broker_port, seed=0):
        self.listen_port = listen_port
        self.broker_port = broker_port
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self._rules = []
        self._held = []
        self._connections = set()
        self._counts = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server = None

    @property
    def address(self):
        return f"127.0.0.1:{self.listen_port}"

    def start(self):
        self._thread.start()
        self._server = self._call(asyncio.start_server(
            self._serve, "127.0.0.1", self.listen_port, limit=1 << 20))
        return self

    def stop(self):
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def add(self, rule):
        with self._lock:
            self._rules.append(rule)
        return rule

    def remove(self, rule):
        """The rule strikes no more; answers it has already condemned stay lost."""
        with self._lock:
            self._rules.remove(rule)

    def reset(self):
        """No rules, no held requests and no connections: a clean start for the next test."""
        with self._lock:
            self._rules.clear()
            self._counts.clear()
        self.cut_all()

    def cut_all(self, client=""):
        """Closes every connection whose client id contains `client`; returns when they are gone."""
        async def cut():
            chosen = {c for c in self._connections if client in c.client_id}
            for connection in chosen:
                connection.client.close()
                connection.broker.close()
            return chosen

        chosen = self._call(cut())
        wait_until(lambda: not chosen & self._connections, 5, "proxied connections closed")

    def count(self, api, client=""):
        """Requests of this kind seen since the last reset, whatever became of them."""
        with self._lock:
            return sum(n for (a, c), n in self._counts.items() if a == api and client in c)

    async def _serve(self, reader, writer):
        try:
            broker = await asyncio.open_connection("127.0.0.1", self.broker_port, limit=1 << 20)
        except OSError:
            writer.close()
            return
        connection = _Connection(self, (reader, writer), broker)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def _strike(self, request):
        self._note(Seen, request)
        with self._lock:
            key = (request.api, request.client)
            self._counts[key] = self._counts.get(key, 0) + 1
            return next((r for r in self._rules if r.strikes(request, self._rng)), None)

    def _hold(self, rule):
        held = _Held(rule.until)
        self._held.append(held)
        return held

    def _let_go(self, held):
        self._held.remove(held)

    def _note(self, kind, request):
        for held in self._held:
            held.note(kind, request)

    async def _close(self):
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            if task is not asyncio.current_task():
                task.cancel()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)


async def _read_frame(reader):
    """One frame without its length; None at the end of the connection, however it ends."""
    try:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, OSError, ValueError):
        return None  # ValueError: a negative length, so no Kafka client


async def _write_frame(writer, frame):
    try:
        writer.write(struct.pack(">i", len(frame)) + frame)
        await writer.drain()
    except OSError:
        pass  # the reading side of the same connection sees its end


def _error_code(request, frame):
    """The error code of an EndTxn or InitProducerId answer; None for other kinds."""
    flexible = {"EndTxn": 3, "InitProducerId": 2}
    if request.api not in flexible:
        return None
    # correlation id, [tagged fields of the header], throttle time, error code
    offset = 8 + (1 if request.version >= flexible[request.api] else 0)
    return struct.unpack_from(">h", frame, offset)[0]
