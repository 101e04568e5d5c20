# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the handshakes of AXI4-Lite and AXI4-Stream; each has twins that must be refuted."""

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring

import stemcore.hdl.host.axi_lite_port
import stemcore.hdl.host.register_file
import stemcore.hdl.host.stream_in
import stemcore.hdl.host.stream_out
from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.host_registers import Access, HostRegister
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.host.stream_in import WORD_WIDTH
from tests.support.formal import anything, implies, inner_signal, keeps, planted, prove, refute

pytestmark = pytest.mark.sim

TINY = get_preset("tiny")
FLIT_WIDTH = Formats(TINY).flit.width


# AXI4-Lite --------------------------------------------------------------------------------------
class LitePortAnswers(wiring.Component):
    """Whatever a manager does that keeps the rules, the subordinate keeps them too.

    A response stays until it is taken; there is none without an address and, of a write, data; and
    each address has one. What is performed is what was asked, and it is performed once.
    """

    def __init__(self, *faults, data_width=32, invariants=True):
        self._invariants = invariants
        module = planted(stemcore.hdl.host.axi_lite_port, *faults)
        self._port = module.AxiLitePort(address_width=4, data_width=data_width)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        port, bus = self._port, self._port.bus
        m.submodules.port = inner = port.elaborate(platform)
        anything(m, bus.awvalid, bus.awaddr, bus.wvalid, bus.wdata, bus.wstrb, bus.bready)
        anything(m, bus.arvalid, bus.araddr, bus.rready)
        anything(m, port.write_error, port.read_error, port.read_data)
        keeps(m, Assume, bus.awvalid, bus.awready, bus.awaddr)
        keeps(m, Assume, bus.wvalid, bus.wready, bus.wdata, bus.wstrb)
        keeps(m, Assume, bus.arvalid, bus.arready, bus.araddr)
        keeps(m, Assert, bus.bvalid, bus.bready, bus.bresp)
        keeps(m, Assert, bus.rvalid, bus.rready, bus.rdata, bus.rresp)

        # What was asked and not performed, and what was performed and not answered.
        asked = {}
        for name, valid, ready, done, values in (
            ("aw", bus.awvalid, bus.awready, port.write, [(bus.awaddr, port.write_address)]),
            (
                "w",
                bus.wvalid,
                bus.wready,
                port.write,
                [(bus.wdata, port.write_data), (bus.wstrb, port.write_strobe)],
            ),
            ("ar", bus.arvalid, bus.arready, port.read, [(bus.araddr, port.read_address)]),
        ):
            asked[name] = waits = Signal(2, name=f"{name}_waits")
            m.d.sync += waits.eq(waits + (valid & ready) - done)
            m.d.comb += [Assert(waits <= 1), Assert(implies(done, waits == 1))]
            for given, performed in values:
                held = Signal.like(given, name=f"{name}_{performed.name}")
                with m.If(valid & ready):
                    m.d.sync += held.eq(given)
                m.d.comb += Assert(implies(done, performed == held))
                if self._invariants:
                    m.d.comb += Assert(implies(waits == 1, performed == held))
            if self._invariants:
                m.d.comb += Assert(waits == inner_signal(inner, f"holds_{name}"))
        for done, valid, ready, response, error in (
            (port.write, bus.bvalid, bus.bready, bus.bresp, port.write_error),
            (port.read, bus.rvalid, bus.rready, bus.rresp, port.read_error),
        ):
            owed, refused = Signal(2, name="owed"), Signal(name="refused")
            m.d.sync += owed.eq(owed + done - (valid & ready))
            with m.If(done):
                m.d.sync += refused.eq(error)
            m.d.comb += [
                Assert(owed == valid),
                Assert(implies(valid, response == Mux(refused, 2, 0))),
            ]
        return m


@pytest.mark.parametrize("data_width", [32, 64])
def test_lite_port_answers(data_width):
    component = LitePortAnswers(data_width=data_width)
    name, sizes = f"axi_lite_port_{data_width}", "4 bits of address"
    prove(component, name, mode="prove", depth=3, sizes=sizes)


LITE_FAULTS = {
    "response goes": ("with m.Elif(bus.bready):", "with m.Else():"),
    "data goes": ("with m.Elif(bus.rready):", "with m.Else():"),
    "without data": ("holds_aw & holds_w & (~bus", "holds_aw & (~bus"),
    "performed twice": (
        "                holds_ar.eq(0),\n",
        "                holds_ar.eq(bus.rready),\n",
    ),
    "address overtaken": ("bus.awready.eq(~holds_aw)", "bus.awready.eq(1)"),
    "response overwritten": ("(~bus.rvalid | bus.rready)", "1"),
}


@pytest.mark.parametrize("fault", LITE_FAULTS)
def test_faults_of_the_lite_port_are_found(fault):
    component = LitePortAnswers(LITE_FAULTS[fault], invariants=False)
    refute(component, f"axi_lite_port_{fault.replace(' ', '_')}", depth=8)


# Registers --------------------------------------------------------------------------------------
SMALL_MAP = tuple(
    HostRegister(number, access, BitFields(name, (("field", width),)), "of a proof")
    for number, name, access, width in (
        (0, "fixed", Access.CONSTANT, 32),
        (1, "value", Access.VALUE, 12),
        (2, "events", Access.EVENTS, 3),
        (4, "action", Access.COMMAND, 2),
    )
)


class RefusedWriteChangesNothing(wiring.Component):
    """Registers change, and commands act, in accepted writes alone; these are answered OKAY.

    A write of ones that have no field, of a place without a register, of one that is read-only, or
    of a command that is refused, is answered SLVERR. Events that are set stay until a one is
    written; bytes without a strobe stay.
    """

    def __init__(self, *faults, data_width=32):
        module = planted(stemcore.hdl.host.register_file, *faults)
        self._file = module.RegisterFile(
            registers=SMALL_MAP, data_width=data_width, constants={"FIXED": 7}, inits={}
        )
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        file = self._file
        m.submodules.file = inner = file.elaborate(platform)
        bus, port = file.bus, inner.submodules.port
        n_halves = len(bus.wdata) // 32
        anything(m, *(getattr(bus, name) for name, flow in bus.signature.members.items()
                      if flow.flow.name == "In"))  # fmt: skip
        anything(m, file.events_set, file.action_refused)
        address, strobe, data = port.write_address, port.write_strobe, port.write_data
        ones = data & Cat(bit.replicate(8) for bit in strobe)
        first = (address >> 2) & ~(n_halves - 1)

        def lanes(number):
            """Strobes and ones of a register, zero where it is not in the access."""
            half = number % n_halves
            here = first == number - half
            return (
                Mux(here, strobe.word_select(half, 4), 0),
                Mux(here, ones.word_select(half, 32), 0),
            )

        value_strobe, value_ones = lanes(1)
        events_strobe, events_ones = lanes(2)
        action_strobe, action_ones = lanes(4)
        bad = (address & 3).any() | (address >= (20 if n_halves == 1 else 24))
        for number in (0, 3, 5):
            bad |= lanes(number)[0].any()
        bad |= (value_ones >> 12).any() | (events_ones >> 3).any() | (action_ones >> 2).any()
        bad |= action_ones.any() & file.action_refused
        if n_halves == 2:
            bad |= (address & 4).any() & strobe[:4].any()
        writes = Signal()
        m.d.comb += [
            writes.eq(port.write & ~bad),
            Assert(implies(port.write, port.write_error == bad)),
            Assert(file.action.as_value() == Mux(writes, action_ones[:2], 0)),
        ]
        value, events = file.value.as_value(), file.events.as_value()
        wanted_value, wanted_events = Signal(12), Signal(3)
        mask = Cat(bit.replicate(8) for bit in value_strobe)[:12]
        clears = Mux(writes, events_ones[:3], 0)
        m.d.sync += [
            wanted_value.eq(Mux(writes, (value & ~mask) | (value_ones[:12] & mask), value)),
            wanted_events.eq((events & ~clears) | file.events_set.as_value()),
        ]
        m.d.comb += [Assert(value == wanted_value), Assert(events == wanted_events)]
        return m


@pytest.mark.parametrize("data_width", [32, 64])
def test_refused_write_changes_nothing(data_width):
    component = RefusedWriteChangesNothing(data_width=data_width)
    name, sizes = f"axi_registers_{data_width}", "4 registers"
    prove(component, name, mode="prove", depth=3, sizes=sizes)


FILE_FAULTS = {
    "refused and done": ("accepted.eq(port.write & ~port.write_error)", "accepted.eq(port.write)"),
    "bits without a field pass": (
        "refused = ones[register.layout.width :].any()",
        "refused = 0",
    ),
    "strobes are not looked at": (
        "(value & ~mask[:width]) | ones[:width]",
        "ones[:width]",
    ),
    "clearing wins": ("(value & ~clears) | sets", "(value | sets) & ~clears"),
    "unaligned passes": ("address[:2].any() | (word", "(word"),
}


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_faults_of_the_registers_are_found(fault):
    component = RefusedWriteChangesNothing(FILE_FAULTS[fault])
    refute(component, f"axi_registers_{fault.replace(' ', '_')}", depth=5)


# AXI4-Stream ------------------------------------------------------------------------------------
class BeatsAreTheFlits(wiring.Component):
    """Each flit leaves once, in its beats, lowest bits first, TLAST with its last beat alone.

    A beat that waits stays as it is.
    """

    def __init__(self, *faults, data_width=32):
        module = planted(stemcore.hdl.host.stream_out, *faults)
        self._out = module.StreamOut(data_width=data_width)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        out, beat = self._out, self._out.o
        m.submodules.out = inner = out.elaborate(platform)
        n_beats = 64 // len(beat.tdata)
        anything(m, out.i.valid, out.i.payload, out.is_last, beat.tready)
        keeps(m, Assert, beat.tvalid, beat.tready, beat.tdata, beat.tkeep, beat.tlast)
        word, is_last, left = Signal(64), Signal(), Signal(2)
        with m.If(beat.tvalid & beat.tready):
            m.d.sync += left.eq(left - 1)
        with m.If(out.i.valid & out.i.ready):
            m.d.sync += [word.eq(Value.cast(out.i.payload)), is_last.eq(out.is_last)]
            m.d.sync += left.eq(n_beats)
        parts = [word.word_select(n, len(beat.tdata)) for n in range(n_beats)]
        m.d.comb += [
            Assert(beat.tvalid == (left != 0)),
            Assert(implies(out.i.valid & out.i.ready, left - (beat.tvalid & beat.tready) == 0)),
            Assert(implies(left == 1, beat.tdata == parts[-1])),
            Assert(implies(left == n_beats, beat.tdata == parts[0])),
            Assert(implies(beat.tvalid, beat.tlast == (is_last & (left == 1)))),
            Assert(beat.tkeep.all()),
            Assert(left <= n_beats),
        ]
        if n_beats == 2:
            upper, has_upper, upper_is_last = (
                inner_signal(inner, name) for name in ("upper", "has_upper", "upper_is_last")
            )
            m.d.comb += [
                Assert(has_upper == (left == 2)),
                Assert(implies(has_upper, (upper == parts[1]) & (upper_is_last == is_last))),
            ]
        return m


@pytest.mark.parametrize("data_width", [32, 64])
def test_beats_are_the_flits(data_width):
    component = BeatsAreTheFlits(data_width=data_width)
    prove(component, f"axi_stream_out_{data_width}", mode="prove", depth=3)


OUT_FAULTS = {
    "beat goes": ("moves.eq(~beat.tvalid | beat.tready)", "moves.eq(1)"),
    "flit lost": ("self.i.ready.eq(moves & ~has_upper)", "self.i.ready.eq(moves)"),
    "last too early": ("beat.tlast.eq(0)", "beat.tlast.eq(self.is_last)"),
    "halves the same": ("upper.eq(word[len(beat.tdata) :])", "upper.eq(word)"),
}


@pytest.mark.parametrize("fault", OUT_FAULTS)
def test_faults_of_beats_are_found(fault):
    component = BeatsAreTheFlits(OUT_FAULTS[fault])
    refute(component, f"axi_stream_out_{fault.replace(' ', '_')}", depth=6)


class FlitsAreTheBeats(wiring.Component):
    """Beats taken from a sender that keeps the rules are flits or faults, each word once.

    Of beats of 64 bits each with bytes completes a word; of beats of 32 bits one in two does, and
    TLAST amid one forgets it. A flit is offered where all bytes of its word were kept and none is
    beyond a flit, else a fault says so; and it stays until it is taken, unless ``hold`` comes. Of a
    word that had begun to come at ``discard`` nothing is offered or, but for TKEEP and TLAST, said.
    """

    def __init__(self, *faults, data_width=32):
        module = planted(stemcore.hdl.host.stream_in, *faults)
        self._into = module.StreamIn(params=TINY, data_width=data_width)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        into, beat = self._into, self._into.i
        m.submodules.into = inner = into.elaborate(platform)
        anything(m, beat.tvalid, beat.tdata, beat.tkeep, beat.tlast, into.o.ready, into.hold)
        anything(m, into.raw, into.discard)
        keeps(m, Assume, beat.tvalid, beat.tready, beat.tdata, beat.tkeep, beat.tlast)
        payload = Value.cast(into.o.payload)
        waited, before = Signal(), Signal(len(payload))
        was_raw = Signal()
        m.d.sync += [
            waited.eq(into.o.valid & ~into.o.ready & ~into.discard),
            before.eq(payload),
            was_raw.eq(into.raw),
        ]
        m.d.comb += [
            Assume(implies(waited, into.raw == was_raw)),
            Assert(implies(waited & ~into.hold, into.o.valid & (before == payload))),
            Assert(beat.tready == (into.o.ready & ~into.hold)),
        ]
        is_amid, stays_amid = Signal(), Signal()  # a word of two beats
        takes, some, full = beat.tvalid & beat.tready, beat.tkeep.any(), beat.tkeep.all()
        if len(beat.tdata) == WORD_WIDTH:
            word, completes, is_whole, truncates = beat.tdata, takes & some, full, 0
        else:
            low, was_full = Signal(32), Signal()
            m.d.comb += stays_amid.eq(~beat.tlast & (is_amid ^ some))
            with m.If(takes):
                m.d.sync += is_amid.eq(stays_amid)
                with m.If(some & ~is_amid):
                    m.d.sync += [low.eq(beat.tdata), was_full.eq(full)]
            word, is_whole = Cat(low, beat.tdata), full & was_full
            completes = takes & some & is_amid
            truncates = takes & beat.tlast & (is_amid ^ some)
            has_low, its_low, spoilt = (
                inner_signal(inner, name) for name in ("has_low", "low", "low_spoilt")
            )
            m.d.comb += [
                Assert(has_low == is_amid),
                Assert(implies(is_amid, (its_low == low) & (spoilt == ~was_full))),
            ]
        # The word that had begun to come when it was to be discarded, and no other.
        is_no_flit = Signal()
        with m.If(takes & ~stays_amid):
            m.d.sync += is_no_flit.eq(0)
        with m.Elif(into.discard & ~takes):
            m.d.sync += is_no_flit.eq(beat.tvalid | is_amid)
        m.d.comb += Assert(inner_signal(inner, "discards") == is_no_flit)
        fits = into.raw | ~word[FLIT_WIDTH:].any()
        is_whole = is_whole & ~is_no_flit
        m.d.comb += [
            Assert((into.o.valid & into.o.ready) == (completes & is_whole & fits)),
            Assert(implies(into.o.valid, payload == word[:FLIT_WIDTH])),
            Assert(into.faults.beyond == (completes & is_whole & ~fits)),
            Assert(into.faults.keep == (takes & some & ~full)),
            Assert(into.faults.truncated == truncates),
        ]
        return m


@pytest.mark.parametrize("data_width", [32, 64])
def test_flits_are_the_beats(data_width):
    component = FlitsAreTheBeats(data_width=data_width)
    prove(component, f"axi_stream_in_{data_width}", mode="prove", depth=3)


IN_FAULTS = {
    "words run on": ("(has_low ^ beat.tkeep.any()) & ~beat.tlast", "has_low ^ beat.tkeep.any()"),
    "half kept passes": ("spoilt.eq(is_partial | low_spoilt)", "spoilt.eq(is_partial)"),
    "empty beats count": ("self.hold & beat.tkeep.any() & ends_word", "self.hold & ends_word"),
    "taken while held": ("eq(self.o.ready & ~self.hold)", "eq(self.o.ready)"),
    "discarded for ever": ("(takes & ~is_amid) | ~begun", "0"),
    "half is discarded": ("(takes & ~is_amid) | ~begun", "takes"),
    "what comes is discarded": ("discards.eq(begun)", "discards.eq(1)"),
    "discarded passes": ("& ~has_more & ~discards)", "& ~has_more)"),
    "too many bits pass": ("& ~spoilt & ~has_more & ~discards", "& ~spoilt & ~discards"),
}  # fmt: skip


@pytest.mark.parametrize("fault", IN_FAULTS)
def test_faults_of_flits_are_found(fault):
    refute(FlitsAreTheBeats(IN_FAULTS[fault]), f"axi_stream_in_{fault.replace(' ', '_')}", depth=6)


def test_a_fault_of_flits_of_one_beat_is_found():
    fault = ("[ends_word.eq(1), spoilt.eq(is_partial)]", "[ends_word.eq(1), spoilt.eq(0)]")
    refute(FlitsAreTheBeats(fault, data_width=64), "axi_stream_in_64_partial", depth=4)
