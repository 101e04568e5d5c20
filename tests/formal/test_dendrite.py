# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the dendrite; each has twins with a planted fault that must be refuted."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

import stemcore.hdl.core.accumulate
from stemcore.golden.spec.widths import WEIGHT_WIDTH
from stemcore.hdl.core.accumulate import AccumulateLanes, AccumulateLoop
from stemcore.hdl.core.dendrite import ShiftLanes
from tests.support.formal import implies, inner_signal, prove, refute

pytestmark = pytest.mark.sim

N_WORDS, N_LANES, WIDTH = 4, 2, 3


class OpenLanes(AccumulateLanes):
    """Lanes whose inner signals a property of the loop around them can name."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.module = super().elaborate(None)

    def elaborate(self, platform):
        return self.module


class LoopKeepsSums(AccumulateLoop):
    """Any one word of the loop, beside a register that applies to it all that enters, in order.

    What is written, what an update pass reads, what is in the memory when the loop is idle and what
    overflows is what the register says, whatever the addresses, gaps, clears and reads between. The
    induction needs to be told, with ``invariants``, what the state in between is; the memory is
    looked at through a port of its own.
    """

    def __init__(self, invariants=True):
        self._invariants = invariants
        super().__init__(n_words=N_WORDS, n_lanes=N_LANES, width=WIDTH)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        valid = [self.valid, *(inner_signal(m, f"valid_{k}") for k in range(1, 6))]
        address = [self.address, *(inner_signal(m, f"address_{k}") for k in range(1, 5))]
        hit_1, hit_2, late, early, zeroed = (
            inner_signal(m, name)
            for name in ("hit_1", "hit_2", "forward_late", "forward_early", "zeroed")
        )
        (lanes,) = (m.submodules[name] for name in m._named_submodules if name.startswith("lanes"))
        watched = AnyConst(N_WORDS.bit_length() - 1)
        look = m.submodules.ram.read_port(domain="comb")
        m.d.comb += look.addr.eq(watched)
        here = [valid[k] & (address[k] == watched) for k in range(5)]
        address_5 = Signal.like(self.address)
        here_5 = Signal()
        m.d.sync += [address_5.eq(address[4]), here_5.eq(here[4])]
        zeroed_here = zeroed & (address[4] == watched)

        # How the ports are used.
        m.d.comb += Assume(self.idle | ~(self.clear | self.update_read))

        # Flags say what they are for.
        inner = {
            name: inner_signal(lanes.module, name)
            for name in ("read_v", "add_v", "store_v", "late")
        }
        # A read of the watched word, one and two cycles ago.
        swept_1 = Signal()
        swept_2 = Signal()
        any_swept_1 = Signal()
        m.d.sync += [
            any_swept_1.eq(self.update_read),
            swept_1.eq(self.update_read & (self.update_address == watched) & ~zeroed_here),
            swept_2.eq(swept_1),
        ]
        invariants = [
            implies(hit_1, valid[3]),
            implies(hit_2, valid[4]),
            implies(late, valid[4]),
            implies(early, valid[5]),
            implies(valid[2], hit_1 == (valid[3] & (address[3] == address[2]))),
            implies(valid[2], hit_2 == (valid[4] & (address[4] == address[2]))),
            implies(valid[3], late == (valid[4] & (address[4] == address[3]))),
            implies(valid[3], early == (valid[5] & (address_5 == address[3]))),
            implies(zeroed, ~Cat(valid[2:]).any() & inner["late"]),
            inner["read_v"] == (valid[3] | any_swept_1),
            inner["add_v"] == valid[4],
            inner["store_v"] == valid[5],
            implies(any_swept_1, ~Cat(valid[2:]).any()),
            implies(swept_1, any_swept_1),
            # A word read while it was written is not used.
            implies(valid[3] & here_5 & (address[3] == watched), early),
        ]

        overflows = []
        for i in range(N_LANES):
            part = slice(i * WIDTH, (i + 1) * WIDTH)
            word, addend, latest = (
                inner_signal(lanes.module, f"{name}_{i}") for name in ("word", "addend", "latest")
            )
            stored, written = look.data[part].as_signed(), lanes.total[i]
            read = lanes.stored[i]
            # The register: stage 3 brings the addend.
            shadow = Signal(signed(WIDTH), name=f"shadow_{i}")
            # What it said when the word was read.
            seen_1 = Signal(signed(WIDTH), name=f"seen_1_{i}")
            seen_2 = Signal(signed(WIDTH), name=f"seen_2_{i}")
            with m.If(here[3]):
                m.d.sync += shadow.eq(shadow + self.addend[i])
            with m.If(self.clear & (self.clear_address == watched)):
                m.d.sync += shadow.eq(0)
            m.d.sync += [seen_1.eq(shadow), seen_2.eq(seen_1)]
            held = Mux(inner["late"], latest, word)
            invariants += [
                implies(zeroed, (latest == 0) & (addend == 0)),
                implies(here_5 & ~zeroed_here, latest == stored),
                implies(here[3] & ~late, Mux(early, latest, read) == stored),
                implies(here[4], held == stored),
                implies(swept_1, read == seen_1),
            ]
            m.d.comb += [
                Assert(Mux(here[4] | zeroed_here, written, stored) == shadow),
                Assert(implies(swept_2, self.update_data[i] == seen_2)),
                # Nothing is on its way when the loop is idle: what entered is in the memory.
                Assert(implies(self.idle & ~zeroed_here, stored == shadow)),
            ]
            exact = Signal(signed(WIDTH + 1), name=f"exact_{i}")
            overflow = Signal(name=f"overflow_{i}")
            m.d.comb += exact.eq(stored + addend)
            m.d.sync += overflow.eq(here[4] & (exact != exact[:WIDTH].as_signed()))
            overflows.append(overflow)
        told = Signal()
        told_here = Signal()
        m.d.sync += [told.eq(Cat(overflows).any()), told_here.eq(here_5)]
        invariants.append(implies(here_5, lanes.overflow == Cat(overflows).any()))
        m.d.comb += Assert(implies(told_here, self.overflow == told))
        if self._invariants:
            m.d.comb += [Assert(invariant) for invariant in invariants]
        return m


class ForgetsNeighbour(LoopKeepsSums):
    """Planted fault: an addition is not forwarded to the next."""

    distance = 1

    def is_hit(self, distance, valid, address):
        return super().is_hit(distance, valid, address) if distance != self.distance else 0


class ForgetsSecond(ForgetsNeighbour):
    """Planted fault: an addition is not forwarded to the one after the next."""

    distance = 2


class ForwardsGaps(LoopKeepsSums):
    """Planted fault: what was in the pipeline before a gap counts as an addition."""

    def is_hit(self, distance, valid, address):
        return address[1 + distance] == address[1]


class SlowClear(OpenLanes):
    """Planted fault: a clear leaves the addend."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.module.d.sync += inner_signal(self.module, "addend_0").eq(self.addend[0])


@pytest.fixture
def open_lanes(monkeypatch):
    monkeypatch.setattr(stemcore.hdl.core.accumulate, "AccumulateLanes", OpenLanes)


@pytest.mark.usefixtures("open_lanes")
def test_accumulate_loop_keeps_sums():
    sizes = f"{N_WORDS} words of {N_LANES} lanes of {WIDTH} bits"
    prove(LoopKeepsSums(), "dendrite_loop", mode="prove", depth=3, sizes=sizes)


@pytest.mark.usefixtures("open_lanes")
@pytest.mark.parametrize("fault", [ForgetsNeighbour, ForgetsSecond, ForwardsGaps])
def test_accumulate_loop_proof_finds_a_lost_forward(fault):
    refute(fault(invariants=False), f"dendrite_loop_{fault.__name__}", depth=13)


def test_accumulate_loop_proof_finds_a_wrong_clear(monkeypatch):
    monkeypatch.setattr(stemcore.hdl.core.accumulate, "AccumulateLanes", SlowClear)
    refute(LoopKeepsSums(invariants=False), "dendrite_loop_SlowClear", depth=5)


class ShiftIsExact(wiring.Component):
    """The two-stage shift against one expression, for every weight, shift and sign."""

    valid: In(1)
    shift: In(4)
    negate: In(1)
    weight: In(signed(WEIGHT_WIDTH))

    def __init__(self, fault=0):
        self._fault = fault
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.lanes = lanes = ShiftLanes(shift_width=4, n_lanes=1)
        m.d.comb += [
            Assume(self.weight != -(1 << (WEIGHT_WIDTH - 1))),
            lanes.valid.eq(self.valid),
            lanes.shift.eq(self.shift),
            lanes.negate.eq(self.negate),
            lanes.weight[0].eq(self.weight),
        ]
        valid = [self.valid, Signal(name="valid_1"), Signal(name="valid_2"), Signal(name="valid_3")]
        shift, negate = [self.shift], [self.negate]
        for k in range(1, 4):
            shift.append(Signal(4, name=f"shift_{k}"))
            negate.append(Signal(name=f"negate_{k}"))
            m.d.sync += [
                a.eq(b)
                for a, b in zip(
                    (valid[k], shift[k], negate[k]),
                    (valid[k - 1], shift[k - 1], negate[k - 1]),
                    strict=True,
                )
            ]
        weight = Signal.like(self.weight, name="weight_3")
        m.d.sync += weight.eq(self.weight)
        exact = Mux(negate[3], -weight, weight) << (shift[3] ^ self._fault)
        m.d.comb += Assert(implies(valid[3], lanes.shifted[0] == exact))
        return m


def test_shift_lanes_are_exact():
    prove(ShiftIsExact(), "dendrite_shift", depth=6, sizes="full width, one lane")


def test_shift_lanes_proof_finds_a_wrong_shift():
    refute(ShiftIsExact(fault=1), "dendrite_shift_fault", depth=6)
