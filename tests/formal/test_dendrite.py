# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the dendrite; each has twins with a planted fault that must be refuted."""

from itertools import pairwise

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
        valid = [self.valid, *(inner_signal(m, f"valid_{k}") for k in range(1, 7))]
        address = [self.address, *(inner_signal(m, f"address_{k}") for k in range(1, 7))]
        hits = {distance: inner_signal(m, f"hit_{distance}") for distance in (1, 2, 3, 4)}
        forward = {1: inner_signal(m, "forward_late"), 2: inner_signal(m, "forward_middle")}
        zeroed = inner_signal(m, "zeroed")
        (lanes,) = (m.submodules[name] for name in m._named_submodules if name.startswith("lanes"))
        watched = AnyConst(N_WORDS.bit_length() - 1)
        look = m.submodules.ram.read_port(domain="comb")
        m.d.comb += look.addr.eq(watched)
        # A stage more than the loop has, for what has been written already.
        valid.append(Signal(name="valid_7"))
        address.append(Signal.like(self.address, name="address_7"))
        m.d.sync += [valid[7].eq(valid[6]), address[7].eq(address[6])]
        here = [v & (a == watched) for v, a in zip(valid, address, strict=True)]
        zeroed_here = zeroed & (address[6] == watched)

        # How the ports are used.
        m.d.comb += Assume(self.idle | ~(self.clear | self.update_read))

        # Flags say what they are for.
        inner = {
            name: inner_signal(lanes.module, name)
            for name in ("read_v", "word_v", "add_v", "store_v", "late", "is_forwarded")
        }
        # A read of the watched word, and of any, one to three cycles ago.
        any_swept, swept = (
            [first, *(Signal(name=f"{name}_{k}") for k in range(1, 4))]
            for name, first in (
                ("any_swept", self.update_read),
                ("swept", self.update_read & (self.update_address == watched) & ~zeroed_here),
            )
        )
        for stages in (any_swept, swept):
            m.d.sync += [late.eq(early) for early, late in pairwise(stages)]
        invariants = [
            *(implies(hit, valid[3 + k]) for k, hit in hits.items()),
            *(implies(flag, valid[4 + k]) for k, flag in forward.items()),
            *(
                implies(valid[3], hit == (valid[3 + k] & (address[3 + k] == address[3])))
                for k, hit in hits.items()
            ),
            *(
                implies(valid[4], flag == (valid[4 + k] & (address[4 + k] == address[4])))
                for k, flag in forward.items()
            ),
            implies(zeroed, ~Cat(valid[2:7]).any()),
            inner["read_v"] == (valid[3] | any_swept[1]),
            inner["word_v"] == (valid[4] | any_swept[2]),
            inner["add_v"] == valid[5],
            inner["store_v"] == valid[6],
            *(implies(any_swept[k], ~Cat(valid[1 + k :]).any()) for k in (1, 2)),
            *(implies(swept[k], any_swept[k]) for k in (1, 2)),
            implies(any_swept[2], ~inner["is_forwarded"]),
        ]

        overflows = []
        for i in range(N_LANES):
            part = slice(i * WIDTH, (i + 1) * WIDTH)
            fetched, forwarded, word, addend, latest, previous, total = (
                inner_signal(lanes.module, f"{name}_{i}")
                for name in (
                    *("fetched", "forwarded", "word", "addend", "latest", "previous", "total"),
                )
            )
            stored = look.data[part].as_signed()
            # And what is just being written.
            newest = Mux(here[6] | zeroed_here, lanes.sums[i], stored)
            read = lanes.stored[i]
            # The register: stage 4 brings the addend.
            shadow = Signal(signed(WIDTH), name=f"shadow_{i}")
            # What it said when the word was read.
            seen = [shadow, *(Signal(signed(WIDTH), name=f"seen_{k}_{i}") for k in range(1, 4))]
            with m.If(here[4]):
                m.d.sync += shadow.eq(shadow + self.addend[i])
            with m.If(self.clear & (self.clear_address == watched)):
                m.d.sync += shadow.eq(0)
            m.d.sync += [late.eq(early) for early, late in pairwise(seen)]
            # A word read while it was written is not used.
            found = Mux(hits[3], latest, Mux(hits[4], previous, read))
            chosen = Mux(forward[2], latest, Mux(inner["is_forwarded"], forwarded, fetched))
            held = Mux(inner["late"], latest, word)
            invariants += [
                implies(zeroed, latest == 0),
                implies(here[7] & ~here[6], previous == stored),
                implies(here[3], found == newest),
                implies(here[4], chosen == newest),
                implies(here[5], held == newest),
                implies(swept[1], read == seen[1]),
                implies(swept[2], fetched == seen[2]),
            ]
            m.d.comb += [
                Assert(Mux(here[5], total, newest) == shadow),
                Assert(implies(swept[3], self.update_data[i] == seen[3])),
                # Nothing is on its way when the loop is idle: what entered is in the memory.
                Assert(implies(self.idle & ~zeroed_here, stored == shadow)),
            ]
            exact = Signal(signed(WIDTH + 1), name=f"exact_{i}")
            overflow = Signal(name=f"overflow_{i}")
            m.d.comb += exact.eq(newest + addend)
            m.d.sync += overflow.eq(here[5] & (exact != exact[:WIDTH].as_signed()))
            overflows.append(overflow)
        told = Signal()
        told_here = Signal()
        m.d.sync += [told.eq(Cat(overflows).any()), told_here.eq(here[6])]
        invariants.append(implies(here[6], lanes.overflow == Cat(overflows).any()))
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


class ForgetsThird(ForgetsNeighbour):
    """Planted fault: an addition is not forwarded to the third after it."""

    distance = 3


class ForgetsFourth(ForgetsNeighbour):
    """Planted fault: an addition is not forwarded to the fourth after it."""

    distance = 4


class ForwardsGaps(LoopKeepsSums):
    """Planted fault: what was in the pipeline before a gap counts as an addition."""

    def is_hit(self, distance, valid, address):
        return address[2 + distance] == address[2]


class SlowClear(OpenLanes):
    """Planted fault: a clear leaves the sum before it."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        latest = inner_signal(self.module, "latest_0")
        with self.module.If(self.clear):
            self.module.d.sync += latest.eq(latest)


@pytest.fixture
def open_lanes(monkeypatch):
    monkeypatch.setattr(stemcore.hdl.core.accumulate, "AccumulateLanes", OpenLanes)


@pytest.mark.usefixtures("open_lanes")
def test_accumulate_loop_keeps_sums():
    sizes = f"{N_WORDS} words of {N_LANES} lanes of {WIDTH} bits"
    prove(LoopKeepsSums(), "dendrite_loop", mode="prove", depth=3, sizes=sizes)


@pytest.mark.usefixtures("open_lanes")
@pytest.mark.parametrize(
    "fault", [ForgetsNeighbour, ForgetsSecond, ForgetsThird, ForgetsFourth, ForwardsGaps]
)
def test_accumulate_loop_proof_finds_a_lost_forward(fault):
    refute(fault(invariants=False), f"dendrite_loop_{fault.__name__}", depth=15)


def test_accumulate_loop_proof_finds_a_wrong_clear(monkeypatch):
    monkeypatch.setattr(stemcore.hdl.core.accumulate, "AccumulateLanes", SlowClear)
    refute(LoopKeepsSums(invariants=False), "dendrite_loop_SlowClear", depth=14)


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
        valid, shift, negate = [self.valid], [self.shift], [self.negate]
        for k in range(1, 5):
            valid.append(Signal(name=f"valid_{k}"))
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
        weights = [self.weight, *(Signal.like(self.weight, name=f"weight_{k}") for k in (3, 4))]
        m.d.sync += [late.eq(early) for early, late in pairwise(weights)]
        exact = Mux(negate[4], -weights[-1], weights[-1]) << (shift[4] ^ self._fault)
        m.d.comb += Assert(implies(valid[4], lanes.shifted[0] == exact))
        return m


def test_shift_lanes_are_exact():
    prove(ShiftIsExact(), "dendrite_shift", depth=6, sizes="full width, one lane")


def test_shift_lanes_proof_finds_a_wrong_shift():
    refute(ShiftIsExact(fault=1), "dendrite_shift_fault", depth=6)
