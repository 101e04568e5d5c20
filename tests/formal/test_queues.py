# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of a core's queues and of the order in which it sends; twins must be refuted."""

import pytest
from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring

import stemcore.hdl.core.ingress
import stemcore.hdl.core.reserved_queue
import stemcore.hdl.core.spike_queue
from stemcore.golden.spec.fields import Kind
from stemcore.golden.spec.presets import get_preset
from tests.formal.test_noc import OpenQueue
from tests.support.bare_core import feed_freely, make_bare_core
from tests.support.formal import implies, inner_signal, planted, prove, refute

pytestmark = pytest.mark.sim

DEPTH = 4


def watch(m, *, contents, level, pushes, pops, entering, leaving, invariants):
    """Watches any one item from where it enters a queue to where it leaves, intact, in its turn.

    contents : what the queue holds, head first; level : how many items, counted outside
    """
    before, watched, item = Signal(range(DEPTH + 1)), Signal(), Signal.like(entering)
    with m.If(watched):
        if invariants:
            m.d.comb += [Assert(before < level), Assert(Array(contents)[before] == item)]
        with m.If(pops):
            m.d.comb += Assert(implies(before == 0, leaving == item))
            m.d.sync += [before.eq(before - 1), watched.eq(before != 0)]
    with m.Elif(pushes & AnySeq(1)):
        m.d.sync += [watched.eq(1), item.eq(entering), before.eq(level - pops)]


# The queue of spikes ----------------------------------------------------------------------------
class SpikesWaitInOrder(wiring.Component):
    """Any one spike in the queue of spikes leaves intact, once, and after all before it.

    One that comes without ``keep`` leaves no trace.

    ``idle`` says that none is there, the queue takes spikes unless it is full, and offers one as
    soon as the one behind it could be in memory.
    """

    def __init__(self, *faults, invariants=True):
        self._invariants = invariants
        module = planted(stemcore.hdl.core.spike_queue, *faults)
        self._queue = module.SpikeQueue(params=get_preset("tiny").with_(n_spikes=DEPTH))
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        queue = self._queue
        m.submodules.queue = inner = queue.elaborate(platform)
        pushes = queue.i.valid & queue.i.ready & queue.keep
        pops = queue.o.valid & queue.o.ready
        level, payload = Signal(range(DEPTH + 1)), Value.cast(queue.i.payload)
        m.d.comb += [
            queue.i.valid.eq(AnySeq(1)),
            queue.keep.eq(AnySeq(1)),
            queue.o.ready.eq(AnySeq(1)),
            payload.eq(AnySeq(len(payload))),
            Assert(level <= DEPTH),
            Assert(queue.idle == (level == 0)),
            Assert(implies(queue.o.valid, level != 0)),
            Assert(implies(level < DEPTH - 1, queue.i.ready)),
        ]
        m.d.sync += level.eq(level + pushes - pops)
        contents = None
        if self._invariants:
            names = ("stored", "arrived", "produce", "consume", "following", "early", "newest")
            in_memory, arrived, produce, consume, following, early, newest = (
                inner_signal(inner, name) for name in names
            )
            storage = inner.submodules.storage
            depth, stored = DEPTH - 1, []
            for k in range(depth):
                look = storage.read_port(domain="comb")
                place = consume + k
                m.d.comb += look.addr.eq(Mux(place >= depth, place - depth, place))
                stored.append(look.data)
            offered = queue.o.valid
            contents = [
                Mux(offered, Value.cast(queue.o.payload), stored[0]),
                *(Mux(offered, stored[k - 1], stored[min(k, depth - 1)]) for k in range(1, DEPTH)),
            ]
            ahead = produce + Mux(produce < consume, depth, 0) - consume
            m.d.comb += [
                Assert((produce < depth) & (consume < depth)),
                Assert(following == Mux(consume == depth - 1, 0, consume + 1)),
                Assert(inner_signal(inner, "holds") == (in_memory != 0)),
                Assert(in_memory + arrived <= depth),
                Assert(ahead == Mux(in_memory == depth, 0, in_memory)),
                Assert(level == in_memory + arrived + offered),
                # What is read a cycle ahead, and what is too new for that.
                Assert(implies(in_memory != 0, early == stored[0])),
                Assert(implies(arrived & (in_memory == 0), newest == stored[0])),
            ]
        watch(
            m,
            contents=contents,
            level=level,
            pushes=pushes,
            pops=pops,
            entering=payload,
            leaving=Value.cast(queue.o.payload),
            invariants=self._invariants,
        )
        return m


def test_spikes_wait_in_order():
    prove(SpikesWaitInOrder(), "spike_queue", mode="prove", depth=3, sizes=f"{DEPTH} spikes")


SPIKE_QUEUE_FAULTS = {
    "takes when full": (
        "ready.eq(~will_be_full)",
        "ready.eq(~is_full)",
    ),
    "gives what is not there": ("self.o.valid.eq(offers)", "self.o.valid.eq(~self.idle)"),
    "gives again": ("m.d.sync += offers.eq(0)", "m.d.sync += offers.eq(~self.is_low)"),
    "idle with one": ("~holds & ~arrived & ~offers", "~holds & ~offers"),
    "keeps what it is not to": ("arrived.eq(written & kept)", "arrived.eq(written)"),
    "writes over what has arrived": (
        "Mux(arrived, _following(produce, depth), produce)",
        "produce",
    ),
    "does not fetch the next": ("Mux(holds, takes, arrived)", "~holds & arrived"),
    "does not fetch what has arrived": ("Mux(holds, takes, arrived)", "takes"),
    "reads the place before": ("Mux(holds, following, consume)", "consume"),
    "reads what is being written": ("has_overtaken.eq(~holds)", "has_overtaken.eq(0)"),
}


@pytest.mark.parametrize("fault", SPIKE_QUEUE_FAULTS)
def test_faults_of_the_queue_of_spikes_are_found(fault):
    component = SpikesWaitInOrder(SPIKE_QUEUE_FAULTS[fault], invariants=False)
    refute(component, f"spike_queue_{fault.replace(' ', '_')}", depth=10)


# Queues with reserved slots ---------------------------------------------------------------------
class SlotsAreKept(wiring.Component):
    """Items that enter slots reserved before leave intact, once, in their order.

    Whatever is reserved, filled and given back between: no slot is promised twice, none is lost,
    and ``idle`` says that none is taken.
    """

    def __init__(self, *faults, invariants=True):
        self._invariants = invariants
        module = planted(stemcore.hdl.core.reserved_queue, *faults)
        self._queue = module.ReservedQueue(shape=2, depth=DEPTH)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        queue = self._queue
        m.submodules.queue = inner = queue.elaborate(platform)
        reserved, filled = Signal(range(DEPTH + 1)), Signal(range(DEPTH + 1))
        popped = Signal()  # in the cycle before: that slot is not promised yet
        for strobe in (queue.reserve, queue.push, queue.cancel, queue.pop):
            m.d.comb += strobe.eq(AnySeq(1))
        m.d.comb += [
            queue.i.eq(AnySeq(2)),
            Assume(implies(queue.reserve, queue.room)),
            Assume(implies(queue.push | queue.cancel, reserved != 0)),
            Assume(~(queue.push & queue.cancel)),
            Assume(implies(queue.pop, queue.valid)),
            Assert(queue.room == (reserved + filled + popped != DEPTH)),
            Assert(queue.valid == (filled != 0)),
            Assert(queue.idle == (reserved + filled + popped == 0)),
        ]
        m.d.sync += [
            popped.eq(queue.pop),
            reserved.eq(reserved + queue.reserve - queue.push - queue.cancel),
            filled.eq(filled + queue.push - queue.pop),
        ]
        contents = None
        if self._invariants:
            first, end, n_free = (inner_signal(inner, name) for name in ("first", "end", "n_free"))
            contents = []
            for k in range(DEPTH):
                look = inner.submodules.ram.read_port(domain="comb")
                m.d.comb += look.addr.eq(first + k)
                contents.append(look.data)
            m.d.comb += [
                Assert(reserved + filled + popped <= DEPTH),
                Assert(inner_signal(inner, "popped") == popped),
                Assert((end - first)[: len(end)] == filled),
                Assert(n_free == DEPTH - reserved - filled - popped),
            ]
        watch(
            m,
            contents=contents,
            level=filled,
            pushes=queue.push,
            pops=queue.pop,
            entering=queue.i,
            leaving=queue.o,
            invariants=self._invariants,
        )
        return m


def test_reserved_slots_are_kept():
    sizes = f"{DEPTH} slots of 2 bits"
    prove(SlotsAreKept(), "reserved_queue", mode="prove", depth=3, sizes=sizes)


SLOT_FAULTS = {
    "promises too much": ("~is_last | (n_free[0] & ~self.reserve)", "1"),
    "loses what is given back": (
        "n_free.eq(before + 1)",
        "n_free.eq(before)",
    ),
    "tells full from empty no more": (
        "end = Signal(range(2 * self._depth))",
        "end = Signal(range(self._depth))",
    ),
    "offers too early": ("self.valid.eq(first != end)", "self.valid.eq(n_free != self._depth)"),
}


@pytest.mark.parametrize("fault", SLOT_FAULTS)
def test_faults_of_reserved_slots_are_found(fault):
    component = SlotsAreKept(SLOT_FAULTS[fault], invariants=False)
    refute(component, f"reserved_queue_{fault.replace(' ', '_')}", depth=10)


# What a core sends ------------------------------------------------------------------------------
NUMBER = 2  # bits of the number that each flit bears
STREAMS = {
    "FlowControl": (Kind.CREDIT, Kind.PACE),
    "AxonOut": (Kind.SPIKE, Kind.END),
    "Configuration": (Kind.READ, Kind.DATA),
}


class EachStreamKeepsItsOrder(wiring.Component):
    """Flits of axon-out, of flow control and answers: each leaves its core once, intact, in order.

    From axon-out through the queue behind it, the choice between the three and the register at the
    core's output, among any waits of the router: so no END overtakes a spike of its core. Flits of
    a stream are numbered; those that the router takes bear successive numbers.
    """

    def __init__(self, *, core=(), egress=(), invariants=True):
        self._invariants = invariants

        class OpenEgress(planted(stemcore.hdl.core.ingress, *egress).Egress):
            def __init__(self, **options):
                super().__init__(**options)
                self.module = super().elaborate(None)

            def elaborate(self, platform):
                return self.module

        put = {"Egress": OpenEgress, "FlitQueue": OpenQueue}
        self._blocks, self._core = make_bare_core("tiny", core_faults=core, put=put)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        core, blocks = self._core, self._blocks
        m.submodules.core = inner = core.elaborate(platform)
        feed_freely(m, core)
        m.d.comb += Assume(~blocks["Control"].stop)
        streams = {
            "FlowControl": blocks["FlowControl"].o,
            "AxonOut": blocks["AxonOut"].o,
            "Configuration": blocks["Configuration"].reply,
        }
        out, exit_ = core.o, inner.submodules.exit.o
        egress, leaving = blocks["Egress"], blocks["FlitQueue"]
        for name, stream in streams.items():
            kinds = [kind.value for kind in STREAMS[name]]
            entered = Signal(NUMBER, name=f"entered_{name}")
            left = Signal(NUMBER, name=f"left_{name}")
            waits, waiting = Signal(name=f"waits_{name}"), Signal.like(stream.payload)
            is_it = out.payload.kind.matches(*kinds)
            m.d.sync += [
                entered.eq(entered + (stream.valid & stream.ready)),
                left.eq(left + (out.valid & out.ready & is_it)),
                waits.eq(stream.valid & ~stream.ready),
                waiting.eq(stream.payload),
            ]
            m.d.comb += [
                Assume(stream.payload.kind.matches(*kinds)),
                Assume(stream.payload.payload[:NUMBER] == entered),
                # A flit that is offered stays until it is taken.
                Assume(implies(waits, stream.valid)),
                Assume(implies(waits, stream.payload.as_value() == waiting.as_value())),
                Assert(implies(out.valid & is_it, out.payload.payload[:NUMBER] == left)),
            ]
            if self._invariants:
                in_exit = exit_.valid & exit_.payload.kind.matches(*kinds)
                number = (left + in_exit)[:NUMBER]
                if name == "AxonOut":
                    for held, word in zip(leaving.holds, leaving.contents, strict=True):
                        m.d.comb += [
                            Assert(implies(held, word.kind.matches(*kinds))),
                            Assert(implies(held, word.payload[:NUMBER] == number)),
                        ]
                        number = (number + held)[:NUMBER]
                m.d.comb += Assert(number == entered)
        if self._invariants:
            held, is_held = (inner_signal(egress.module, name) for name in ("held", "is_held"))
            offers = Cat(i.valid for i in (egress.flow, egress.fire, egress.reply))
            m.d.comb += [
                Assert(leaving.is_sound & ((leaving.holds & (leaving.holds + 1)) == 0)),
                Assert(implies(is_held, (held & offers).any() & ((held & (held - 1)) == 0))),
            ]
        return m


def test_each_stream_of_a_core_keeps_its_order():
    sizes = f"full flits, numbered by {NUMBER} bits"
    prove(EachStreamKeepsItsOrder(), "core_sends", mode="prove", depth=2, sizes=sizes)


SENDING_FAULTS = {
    "axon-out does not wait for its turn": {
        "egress": [("*(i.ready.eq(self.o.ready & take) for", "*(i.ready.eq(1) for")]
    },
    "all that are offered are taken": {
        "egress": [("i.ready.eq(self.o.ready & take)", "i.ready.eq(self.o.ready)")]
    },
    "a choice that is not offered": {
        "egress": [("is_held.eq(self.o.valid & ~self.o.ready)", "is_held.eq(self.o.valid)")]
    },
}


@pytest.mark.parametrize("fault", SENDING_FAULTS)
def test_faults_of_sending_are_found(fault):
    component = EachStreamKeepsItsOrder(**SENDING_FAULTS[fault], invariants=False)
    refute(component, f"core_sends_{fault.replace(' ', '_')}", depth=10)
