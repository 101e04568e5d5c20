# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that the serial line's queues lose, double and change no flit, whatever frames come.

Each follows one byte of one flit that the solver chooses, by the number of the flit. Numbers go
round after 2**16 flits, of which far fewer are under way: a flit stands for all of its number.
"""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value
from amaranth.lib import wiring

import stemcore.hdl.host.uart_queues
from stemcore.golden.spec.uart_frames import COUNT_WIDTH, FLIT_BYTES
from tests.support.formal import anything, implies, keeps, planted, prove, refute

pytestmark = pytest.mark.sim

DEPTH = 2  # flits of a queue, in the place of 256
SLOT_WIDTH = 1
SMALL = ("DEPTH = 256", f"DEPTH = {DEPTH}")
# What is inside, and the memory as it is, at an address of the proof's choice; put before a line.
PROBE = "self.inner = dict(locals(), spy=queue.read_port(domain='comb'))"
PROBED_IN, PROBED_OUT = (
    (line, f"        {PROBE}\n{line}")
    for line in (
        "        with m.If(self.clear):\n            m.d.sync",
        "        with m.If(self.clear):\n            counts",
    )
)
FAULT_DEPTH = 24  # cycles: a queue is full in 18
SIZES = f"{DEPTH} flits a queue"


def followed(m):
    """A flit's number, a byte of it, and what that byte is."""
    number, place, value = (
        Signal(width, name=name)
        for name, width in (("number", COUNT_WIDTH), ("place", 3), ("value", 8))
    )
    m.d.comb += [signal.eq(AnyConst(len(signal))) for signal in (number, place, value)]
    return number, place, value


def difference(a, b):
    """Of two flit numbers, which go round."""
    return (a - b)[:COUNT_WIDTH]


class CountedFlitsArrive(wiring.Component):
    """What a good frame in order brings is handed on once, in order, and unchanged.

    Frames of any kind, damaged ones, ones out of order and ones without room come between. A count
    moves by a frame that is good, in order and has fitted, alone; none while one is taken.
    """

    def __init__(self, *faults):
        self._queue = planted(stemcore.hdl.host.uart_queues, SMALL, PROBED_IN, *faults).QueueIn()
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        queue = self._queue
        m.submodules.queue = queue.elaborate(platform)
        header, word = queue.header, queue.o
        anything(m, queue.clear, header, queue.payload, queue.payload_valid, queue.position)
        anything(m, queue.good, queue.bad, queue.ended, word.tready)
        number, place, value = followed(m)

        keeps(m, Assert, word.tvalid, word.tready | queue.clear, word.tdata)

        # Of the receiver: bytes come in their order, under one header, and a good frame is whole.
        at, before = Signal(8), Signal(len(Value.cast(header)))
        m.d.sync += before.eq(header)
        with m.If(queue.ended):
            m.d.sync += at.eq(0)
        with m.Elif(queue.payload_valid):
            m.d.sync += at.eq(at + 1)
        m.d.comb += [
            Assume(implies(at != 0, Value.cast(header) == before)),
            Assume(implies(queue.payload_valid, (queue.position == at) & (at < header.length))),
            Assume(implies(queue.payload_valid, ~queue.ended)),
            Assume(implies(queue.good | queue.bad | queue.clear, queue.ended)),
            Assume(~(queue.good & (queue.bad | queue.clear))),
            Assume(implies(queue.good, (at == header.length) & (at[:3] == 0))),
        ]
        # Of the host: a flit that is sent again is the same one.
        is_it = difference(header.sequence + at[3:], number) == 0
        is_same = Signal(init=1)
        with m.If(queue.ended):
            m.d.sync += is_same.eq(1)
        with m.Elif(queue.payload_valid & is_it & (at[:3] == place) & (queue.payload != value)):
            m.d.sync += is_same.eq(0)
        m.d.comb += Assume(implies(queue.good, is_same))

        taken, held, offset, overflowed = (
            queue.inner[name] for name in ("taken", "held", "offset", "overflowed")
        )
        moves = word.tvalid & word.tready
        was_taken, was_expected = Signal(COUNT_WIDTH), Signal(COUNT_WIDTH)
        moved, grew, cleared = Signal(), Signal(5), Signal(init=1)
        in_order = (header.sequence == queue.expected) & ~overflowed
        m.d.sync += [
            was_taken.eq(taken),
            was_expected.eq(queue.expected),
            moved.eq(moves),
            grew.eq(Mux(queue.good & in_order, header.length[3:], 0)),
            cleared.eq(queue.clear),
        ]
        m.d.comb += [
            Assert(implies(cleared, (taken == 0) & (queue.expected == 0) & ~word.tvalid)),
            Assert(implies(~cleared, difference(taken, was_taken) == moved)),
            Assert(implies(~cleared, difference(queue.expected, was_expected) == grew)),
            Assert(held <= DEPTH),
            Assert(implies(word.tvalid, held != 0)),
            Assert(
                implies(word.tvalid & (taken == number), word.tdata.word_select(place, 8) == value)
            ),
        ]
        # What makes it inductive: the byte in the memory, and on its way out of it.
        spy, ahead = queue.inner["spy"], difference(number, queue.expected)
        inside = difference(number, taken) < held
        came = (ahead < 32) & (ahead * FLIT_BYTES + place < at) & ~overflowed
        shifts = (offset - 2 - place)[:3]
        reads = (taken == number) & ~word.tvalid & (offset != 0)
        m.d.comb += [
            spy.addr.eq(number[:SLOT_WIDTH] * FLIT_BYTES + place),
            Assert(implies(inside, spy.data == value)),
            Assert(
                implies(came & is_same & (header.sequence == queue.expected), spy.data == value)
            ),
            Assert(implies((at == 0), is_same & ~overflowed)),
            Assert(implies(~overflowed, at <= (DEPTH - held) * FLIT_BYTES)),
            Assert(implies(offset != 0, ~word.tvalid & (held != 0))),
            Assert(offset <= FLIT_BYTES),
            Assert(implies(reads & (offset == place + 1), queue.inner["read"].data == value)),
            Assert(
                implies(
                    reads & (offset >= place + 2),
                    word.tdata.word_select((7 - shifts)[:3], 8) == value,
                )
            ),
        ]
        return m


def test_counted_flits_arrive():
    prove(CountedFlitsArrive(), "uart_queue_in", mode="prove", depth=2, sizes=SIZES)


IN_FAULTS = {
    "a damaged frame counts": (
        "with m.If(self.good & in_order)",
        "with m.If(self.ended & in_order)",
    ),
    "any frame counts": ("with m.If(self.good & in_order)", "with m.If(self.good)"),
    "counted ones are overwritten": (
        "write.en.eq(self.payload_valid & fits)",
        "write.en.eq(self.payload_valid)",
    ),
    "one is handed on twice": ("self.o.tvalid.eq(0), taken.eq(taken + 1)", "self.o.tvalid.eq(0)"),
}


@pytest.mark.parametrize("fault", IN_FAULTS)
def test_faults_of_the_queue_in_are_found(fault):
    component = CountedFlitsArrive(IN_FAULTS[fault])
    refute(component, f"uart_queue_in_{fault.replace(' ', '_')}", depth=FAULT_DEPTH)


class SentFlitsAreKept(wiring.Component):
    """A flit stays, unchanged, until it is acknowledged; frames bring flits by their numbers.

    Whatever frames acknowledge, and however often they ask again: what is acknowledged was taken,
    what is sent was not acknowledged before, and a word is taken from the chip once.
    """

    def __init__(self, *faults):
        self._queue = planted(stemcore.hdl.host.uart_queues, SMALL, PROBED_OUT, *faults).QueueOut()
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        queue = self._queue
        m.submodules.queue = queue.elaborate(platform)
        anything(m, queue.clear, queue.header, queue.good, queue.send, queue.position)
        anything(m, queue.i.tvalid, queue.i.tdata)
        number, place, value = followed(m)
        acknowledged, written, held, first, holds, word, offset = (
            queue.inner[name]
            for name in ("acknowledged", "written", "held", "first", "holds", "word", "offset")
        )
        takes = queue.i.tvalid & queue.i.tready
        m.d.comb += [
            Assume(~(queue.send & (queue.good | queue.clear))),
            Assume(implies(queue.send, queue.n_flits != 0)),
            Assume(~(queue.good & queue.clear)),
            Assume(
                implies(takes & (written == number), queue.i.tdata.word_select(place, 8) == value)
            ),
        ]
        n_sent = difference(queue.sent, acknowledged)
        was_written, was_acknowledged, cleared = (
            Signal(COUNT_WIDTH),
            Signal(COUNT_WIDTH),
            Signal(init=1),
        )
        said, took, ended = Signal(COUNT_WIDTH), Signal(), Signal()
        m.d.sync += [
            was_written.eq(written),
            was_acknowledged.eq(acknowledged),
            cleared.eq(queue.clear),
            said.eq(Mux(queue.good, queue.header.acknowledged, acknowledged)),
            took.eq(takes),
            ended.eq(holds & (offset == FLIT_BYTES - 1) & (held < DEPTH)),
        ]
        # The frame that is being sent: its first flit, in full.
        frame = Signal(COUNT_WIDTH)
        with m.If(queue.send):
            m.d.sync += frame.eq(queue.sent)
        asked, was_inside = Signal(), Signal()
        spy, inside = queue.inner["spy"], difference(number, acknowledged) < held
        at = difference(number, frame) * FLIT_BYTES + place
        m.d.sync += [asked.eq(queue.position == at), was_inside.eq(inside)]
        moved = difference(acknowledged, was_acknowledged)
        m.d.comb += [
            Assert(implies(cleared, (written == 0) & (acknowledged == 0) & ~holds)),
            Assert(implies(~cleared, difference(written, was_written) == ended)),
            Assert(implies(~cleared & (moved != 0), acknowledged == said)),
            Assert(implies(~cleared & took, holds)),
            Assert(n_sent <= held),
            Assert(held <= DEPTH),
            Assert(queue.n_flits <= difference(written, queue.sent)),
            Assert(implies(asked & was_inside & (at < 256), queue.byte == value)),
            spy.addr.eq(number[:SLOT_WIDTH] * FLIT_BYTES + place),
            Assert(implies(inside, spy.data == value)),
            Assert(first == frame[:SLOT_WIDTH]),
            # Bytes of the word that is on its way into the memory.
            Assert(implies(holds & (written == number) & (offset > place), spy.data == value)),
            Assert(
                implies(
                    holds & (written == number) & (offset <= place),
                    word.word_select((place - offset)[:3], 8) == value,
                )
            ),
            Assert(implies(~holds, offset == 0)),
        ]
        return m


def test_sent_flits_are_kept():
    prove(SentFlitsAreKept(), "uart_queue_out", mode="prove", depth=2, sizes=SIZES)


OUT_FAULTS = {
    "what was not taken is acknowledged": ("self.good & (passed <= held)", "self.good"),
    "a word counts twice": (
        "m.d.sync += [holds.eq(0), written.eq(written + 1)]",
        "m.d.sync += written.eq(written + 1)",
    ),
}


@pytest.mark.parametrize("fault", OUT_FAULTS)
def test_faults_of_the_queue_out_are_found(fault):
    component = SentFlitsAreKept(OUT_FAULTS[fault])
    refute(component, f"uart_queue_out_{fault.replace(' ', '_')}", depth=FAULT_DEPTH)
