"""The inputs of a scenario: their watermarks, states and what waits in them; the merged watermark; processing time.

An input's messages (batch, watermark, idle, active, end) are read in the order they came, as soon as the input can be read: it is not
paused, and not held by alignment. Whatever waits in several inputs is read in the order in which it came.
"""
from collections import namedtuple

from values import INFINITY, MINUS_INFINITY, add

ACTIVE, IDLE, FINISHED = "active", "idle", "finished"
Message = namedtuple("Message", "number verb value")
# `known`: what its own input knew of event time before it. Ties of time are broken by (partition, offset) where arrival must not count.
Record = namedtuple("Record", "key time value partition offset known")


class Input:
    def __init__(self):
        self.state = ACTIVE
        self.paused = False
        self.watermark = MINUS_INFINITY
        self.greatest = None  # record time seen
        self.idle_clock = 0
        self.waiting = []
        self.records_read = 0


class Inputs:
    """Reads steps and hands to `flow` what they cause: batch(records), watermark(time), clock(time), idle(), active()."""

    def __init__(self, parameters, flow):
        self.flow = flow
        self.inputs = [Input() for _ in range(parameters["partitions"])]
        self.disorder, self.idle_after, self.drift = parameters["disorder"], parameters["idle"], parameters["drift"]
        self.merged = MINUS_INFINITY
        self.whole_is_idle = False
        self.now = 0
        self.messages_so_far = 0

    def step(self, verb, inputs, value):
        if verb == "pause" or verb == "resume":
            self.inputs[inputs[0]].paused = verb == "pause"
        elif verb == "advance":
            self.advance_clock(self.now + value)
        elif verb == "restart":
            self.restart()
        else:
            self.messages_so_far += 1
            for i in inputs:
                self.inputs[i].waiting.append(Message(self.messages_so_far, verb, value))
        self.read_what_waits()

    # Reading.

    def is_aligned(self, one):
        """Held back by alignment: more than the drift ahead of the least active input."""
        active = [other.watermark for other in self.inputs if other.state == ACTIVE]
        return self.drift is not None and bool(active) and one.watermark - min(active) > self.drift

    def can_be_read(self, one):
        return not one.paused and not self.is_aligned(one)

    def read_what_waits(self):
        while ready := [one for one in self.inputs if one.waiting and self.can_be_read(one)]:
            number = min(one.waiting[0].number for one in ready)
            speakers = [one for one in ready if one.waiting[0].number == number]  # several: a step for all inputs
            message = [one.waiting.pop(0) for one in speakers][0]
            getattr(self, "read_" + message.verb)(speakers, message.value)

    def read_in(self, speakers, given):
        (one,) = speakers
        self.make_active(speakers)
        records = []
        for record in given:
            known = one.watermark
            if self.disorder is not None and one.greatest is not None:
                known = max(known, add(one.greatest, -self.disorder))
            records.append(Record(*record, self.inputs.index(one), one.records_read, known))
            one.records_read += 1
            one.greatest = record.time if one.greatest is None else max(one.greatest, record.time)
        self.flow.batch(records)
        if self.disorder is not None:
            one.watermark = max(one.watermark, add(one.greatest, -self.disorder))
        self.merge()

    def read_watermark(self, speakers, time):
        self.make_active(speakers)
        for one in speakers:
            one.watermark = max(one.watermark, time)
        self.merge()

    def read_active(self, speakers, _):
        self.make_active(speakers)

    def read_idle(self, speakers, _):
        for one in speakers:
            one.state = IDLE
        self.merge()

    def read_end(self, speakers, _):
        for one in speakers:
            if one.greatest is not None:
                one.watermark = max(one.watermark, add(one.greatest, 1))
            one.state = FINISHED
        self.merge()

    def make_active(self, speakers):
        for one in speakers:
            if one.state == IDLE:
                one.state = ACTIVE
                one.watermark = max(one.watermark, self.merged)
            one.idle_clock = 0
        if self.whole_is_idle:
            self.whole_is_idle = False
            self.flow.active()

    # The merged watermark.

    def merge(self):
        active = [one.watermark for one in self.inputs if one.state == ACTIVE]
        greatest = max(one.watermark for one in self.inputs)
        self.move_to(min(active) if active else greatest)
        if all(one.state == FINISHED for one in self.inputs):
            self.move_to(INFINITY)
        elif not active and not self.whole_is_idle:
            self.whole_is_idle = True
            self.flow.idle()

    def move_to(self, time):
        if time > self.merged:
            self.merged = time
            self.flow.watermark(time)

    # Processing time.

    def counts_idle_time(self, one):
        return self.idle_after is not None and one.state == ACTIVE and self.can_be_read(one)

    def advance_clock(self, until):
        while self.now < until:
            counting = [one for one in self.inputs if self.counts_idle_time(one)]
            runs_out = [self.now + self.idle_after - one.idle_clock for one in counting]
            then = min([until] + runs_out + self.flow.clock_alarms(self.now))
            for one in counting:
                one.idle_clock += then - self.now
            self.now = then
            self.flow.clock(then)
            if silent := [one for one in counting if one.idle_clock >= self.idle_after]:
                self.read_idle(silent, None)
                self.read_what_waits()

    def restart(self):
        """Forgets idleness, and nothing else; says nothing."""
        for one in self.inputs:
            if one.state == IDLE:
                one.state = ACTIVE
                one.watermark = max(one.watermark, self.merged)
            one.idle_clock = 0
        self.whole_is_idle = False
