# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that the serial line's end in the chip cannot hang, and finds the next good frame."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Assert, Assume, Const, Module, Mux, Signal
from amaranth.lib import wiring

import stemcore.hdl.host.uart_frames
import stemcore.hdl.host.uart_registers
from stemcore.golden.spec.uart_frames import (
    CRC_BYTES,
    ESCAPE,
    FLAG,
    FLIPPED,
    FLIT_BYTES,
    HEADER_BYTES,
    Frame,
    FrameKind,
)
from stemcore.hdl.host.uart_frames import MAX_LENGTH
from tests.support.formal import (
    anything,
    implies,
    inner_state,
    keeps,
    planted,
    prove,
    refute,
)

pytestmark = pytest.mark.sim

ENDS = HEADER_BYTES + CRC_BYTES + 1  # place of a frame's last flag, without payload
FRAME_CYCLES = 2 * ENDS  # that its bytes take, one a cycle, if all between the flags are escaped


def connect_bytes(session):
    """The bytes of CONNECT of ``session``, a signal, before they are escaped; a CRC is affine."""
    plain, *others = (
        read_bytes(Frame(FrameKind.CONNECT, number)) for number in (0, *(1 << n for n in range(8)))
    )
    found = []
    for place, byte in enumerate(plain):
        value = Const(byte, 8)
        for n, other in enumerate(others):
            value ^= Mux(session[n], other[place] ^ byte, 0)
        found.append(value)
    return found


def read_bytes(frame):
    """What ``frame`` is between its flags, not escaped."""
    text = frame.to_bytes()[1:-1]
    for byte in (FLAG, ESCAPE):
        text = text.replace(bytes([ESCAPE, byte ^ FLIPPED]), bytes([byte]))
    return text


class NextFrameIsFound(wiring.Component):
    """From any state of the receiver, whatever came before, the next frame is good.

    It is CONNECT of any session, with which a host begins again; its bytes come one a cycle. Not
    one cycle later than its last is it found.
    """

    def __init__(self, *faults):
        module = planted(stemcore.hdl.host.uart_frames, *faults)
        self._receiver = module.FrameReceiver()
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        session, byte = Signal(8), Signal(8)
        place, escaping, found = (
            Signal(shape, name=f"{name}_initial")
            for name, shape in (("place", range(ENDS + 2)), ("escaping", 1), ("found", 1))
        )
        special, sends = Signal(), Signal()
        m.d.comb += [
            session.eq(AnyConst(8)),
            byte.eq(Array([Const(FLAG, 8), *connect_bytes(session), Const(FLAG, 8)])[place]),
            special.eq((place != 0) & (place != ENDS) & ((byte == FLAG) | (byte == ESCAPE))),
            sends.eq(place <= ENDS),
            receiver.valid.eq(sends),
            receiver.data.eq(Mux(special, Mux(escaping, byte ^ FLIPPED, ESCAPE), byte)),
        ]
        with m.If(sends):
            m.d.sync += escaping.eq(special & ~escaping)
            with m.If(~special | escaping):
                m.d.sync += place.eq(place + 1)
        with m.If(receiver.good & (place != 0)):
            m.d.sync += found.eq(1)
        # The flag that opens the frame ends what was there.
        header = receiver.header
        m.d.comb += [
            Assert(implies(receiver.bad, place == 0)),
            Assert(implies(place == ENDS, receiver.good)),
            Assert(implies(place > ENDS, found)),
            Assert(implies(place == ENDS, header.kind == FrameKind.CONNECT)),
            Assert(implies(place == ENDS, (header.session == session) & (header.length == 0))),
        ]
        return m


def test_next_frame_is_found():
    name, depth = "uart_next_frame", FRAME_CYCLES + 1
    prove(NextFrameIsFound(), name, depth=depth, any_state=True, sizes="frames of CONNECT")


FIND_FAULTS = {
    "a sum goes on": ("crc.start.eq(self.valid & is_flag)", "crc.start.eq(self.good)"),
    "an escape stays": (
        "            m.d.sync += escaped.eq(is_escape)\n",
        "            m.d.sync += escaped.eq(is_escape | (escaped & is_flag))\n",
    ),
    "bytes are counted on": ("m.d.sync += n_bytes.eq(0)", "m.d.sync += n_bytes.eq(n_bytes & ~7)"),
}


@pytest.mark.parametrize("fault", FIND_FAULTS)
def test_faults_of_the_receiver_are_found(fault):
    name = f"uart_next_frame_{fault.replace(' ', '_')}"
    refute(NextFrameIsFound(FIND_FAULTS[fault]), name, depth=FRAME_CYCLES + 1, any_state=True)


class FramesEnd(wiring.Component):
    """From any state, the transmitter is idle again after so many bytes as are left of its frame.

    Whatever it sends, each byte that is taken leaves fewer; what is left is none where it is idle,
    and of a frame at most twice its bytes, if all of them are escaped. A byte is offered in the
    fourth cycle at the latest.
    """

    def __init__(self, *faults):
        # What is inside.
        line = "        with m.FSM():"
        probe = line, f"        self.inner = dict(locals())\n{line}"
        module = planted(stemcore.hdl.host.uart_frames, probe, *faults)
        self._sender = module.FrameTransmitter()
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        sender = self._sender
        m.submodules.sender = inner = sender.elaborate(platform)
        anything(m, sender.start, sender.header, sender.payload, sender.o.ready)
        m.d.comb += Assume(implies(sender.start, sender.idle))
        count, length, escaping = (sender.inner[name] for name in ("count", "length", "escaping"))
        bytes_left = Signal(range(2 * MAX_LENGTH))
        most = HEADER_BYTES + MAX_LENGTH + CRC_BYTES + 2
        after = {"CLOSE": 0, "CRC": 1, "PAYLOAD": 1 + CRC_BYTES, "HEADER": 1 + CRC_BYTES + length}
        parts = {"CRC": CRC_BYTES, "PAYLOAD": length, "HEADER": HEADER_BYTES}
        states = {name: inner_state(inner, "fsm", name) for name in ("IDLE", "OPEN", *after)}
        with m.If(states["OPEN"]):
            m.d.comb += bytes_left.eq(most - MAX_LENGTH + length)
        for name, later in after.items():
            with m.If(states[name]):
                m.d.comb += bytes_left.eq(later + parts.get(name, 1) - Mux(name in parts, count, 0))
                if name in parts:
                    m.d.comb += Assert(count < parts[name])
        left, before, took = Signal(11), Signal(11), Signal()
        m.d.comb += left.eq(2 * bytes_left - escaping)
        waits = Signal(3)
        m.d.sync += [
            before.eq(left),
            took.eq(sender.o.valid & sender.o.ready),
            waits.eq(Mux(sender.idle | sender.o.valid, 0, waits + 1)),
        ]
        m.d.comb += [
            Assert(implies(took, left < before)),
            Assert(sender.idle == (left == 0)),
            Assert(waits < 4),
            Assert(implies(~sender.idle & ~sender.o.valid, waits <= sender.inner["settled"])),
            Assert(left <= 2 * most),
            Assert(sum(states.values()) == 1),
            Assert(implies(states["PAYLOAD"], length != 0)),
        ]
        return m


def test_frames_end():
    prove(FramesEnd(), "uart_frames_end", mode="prove", depth=2)


END_FAULTS = {
    "escapes for ever": ("done.eq(moves & (~special | escaping))", "done.eq(moves & ~special)"),
    "no byte is ready": ("settled.eq(Cat(1, settled[0]))", "settled.eq(Cat(0, settled[0]))"),
}


@pytest.mark.parametrize("fault", END_FAULTS)
def test_faults_of_ends_are_found(fault):
    name = f"uart_frames_end_{fault.replace(' ', '_')}"
    refute(FramesEnd(END_FAULTS[fault]), name, depth=12)


class AccessesHappenOnce(wiring.Component):
    """A register is accessed for a frame that says so, once for each number, by the bus's rules.

    What the manager offers stays until it is taken; one access is under way at most, and each
    has its address, a write its data; the answer that is sent is that of the access. ``clear``
    comes at any time.
    """

    def __init__(self, *faults):
        # What is inside.
        line = "        with m.If(self.clear):"
        probe = line, f"        self.inner = dict(locals())\n{line}"
        module = planted(stemcore.hdl.host.uart_registers, probe, *faults)
        self._accesses = module.RegisterAccess()
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        accesses, bus = self._accesses, self._accesses.bus
        m.submodules.accesses = accesses.elaborate(platform)
        header, access = accesses.header, accesses.access
        anything(m, accesses.clear, header, access, accesses.good, accesses.position)
        anything(m, *(getattr(bus, name) for name, flow in bus.signature.members.items()
                      if flow.flow.name == "In"))  # fmt: skip
        keeps(m, Assert, bus.awvalid, bus.awready, bus.awaddr)
        keeps(m, Assert, bus.wvalid, bus.wready, bus.wdata, bus.wstrb)
        keeps(m, Assert, bus.arvalid, bus.arready, bus.araddr)
        # Of the subordinate: a response to what was taken, which stays.
        taken = {}
        for name in ("aw", "w", "ar"):
            valid, ready = (getattr(bus, f"{name}{end}") for end in ("valid", "ready"))
            taken[name] = Signal(name=f"took_{name}")
            with m.If(valid & ready):
                m.d.sync += taken[name].eq(1)
                m.d.comb += Assert(~taken[name])
        ends = bus.bvalid | bus.rvalid
        with m.If(ends):
            m.d.sync += [signal.eq(0) for signal in taken.values()]
        m.d.comb += [
            Assume(implies(bus.bvalid, taken["aw"] & taken["w"])),
            Assume(implies(bus.rvalid, taken["ar"])),
        ]
        # A frame begins an access where it is one, and another than the last one.
        busy = accesses.inner["busy"]
        known, number = Signal(), Signal.like(header.sequence)
        is_access = (
            accesses.good
            & ((header.kind == FrameKind.WRITE) | (header.kind == FrameKind.READ))
            & (header.length == FLIT_BYTES)
        )
        is_last = known & (header.sequence == number)
        begins = is_access & ~is_last & ~busy
        was_busy, begun, is_write, refused, far = (Signal(name=f"s{n}") for n in range(5))
        data, address = Signal(32), Signal(32)
        m.d.sync += [was_busy.eq(busy & ~ends), begun.eq(begins)]
        with m.If(begins):
            m.d.sync += [
                known.eq(1),
                number.eq(header.sequence),
                is_write.eq(header.kind == FrameKind.WRITE),
                data.eq(access.data),
                address.eq(access.address),
            ]
        with m.If(accesses.clear):
            m.d.sync += known.eq(0)
        asks, said = Signal(), Signal.like(bus.awaddr)
        m.d.comb += [
            asks.eq(bus.awvalid | bus.wvalid | bus.arvalid),
            said.eq(Mux((address >> len(bus.awaddr)) != 0, (1 << len(bus.awaddr)) - 1, address)),
            Assert(busy == (begun | was_busy)),
            Assert(implies(asks, busy)),
            Assert(implies(bus.arvalid, ~is_write & (bus.araddr == said) & ~taken["ar"])),
            Assert(implies(bus.awvalid, is_write & (bus.awaddr == said) & ~taken["aw"])),
            Assert(implies(bus.wvalid, is_write & (bus.wdata == data) & bus.wstrb.all())),
            Assert(implies(bus.wvalid, ~taken["w"])),
            Assert(implies(busy & is_write, bus.awvalid | taken["aw"])),
            Assert(implies(busy & is_write, bus.wvalid | taken["w"])),
            Assert(implies(busy & ~is_write, bus.arvalid | taken["ar"])),
            Assert(implies(taken["aw"] | taken["w"], busy & is_write)),
            Assert(implies(taken["ar"], busy & ~is_write)),
            Assert(accesses.due == (known & ((is_access & is_last & ~busy) | (busy & ends)))),
            Assert(known == accesses.inner["known"]),
            Assert(implies(known, accesses.number == number)),
        ]
        return m


def test_accesses_happen_once():
    prove(AccessesHappenOnce(), "uart_accesses", mode="prove", depth=2)


ACCESS_FAULTS = {
    "asked again is done again": (
        "begins.eq(is_access & ~repeats & ~busy)",
        "begins.eq(is_access & ~busy)",
    ),
    "a second one overtakes": (
        "begins.eq(is_access & ~repeats & ~busy)",
        "begins.eq(is_access & ~repeats)",
    ),
    "offers go": ("with m.If(ready):", "with m.If(1):"),
    "of another session": (
        "self.good\n                & (is_write",
        "1\n                & (is_write",
    ),
    "high addresses fold": (
        "address = Mux(is_far, -1, access.address)",
        "address = access.address",
    ),
    "an old answer is sent": (
        "self.due.eq(known & ((repeats & ~busy) | ends))",
        "self.due.eq(known & (repeats | ends))",
    ),
}


@pytest.mark.parametrize("fault", ACCESS_FAULTS)
def test_faults_of_accesses_are_found(fault):
    name = f"uart_accesses_{fault.replace(' ', '_')}"
    refute(AccessesHappenOnce(ACCESS_FAULTS[fault]), name, depth=6)
