# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that axon-out sends each set bit once, and END last; twins must be refuted.

Stage by stage, each by induction: the scan finds every bit plane once, in order; the next stage
makes a job of each plane for each destination entry, and one of ENDs when all planes have gone; the
last sends a flit for each lane of a job, in the order of jobs. Between them are queues that keep
what they get in its order, proved in test_queues.py.
"""

from types import SimpleNamespace

import pytest
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Assert, Assume, Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.widths import T_WIDTH
from stemcore.hdl.core import axon_out, plane_scan, spike_emit
from stemcore.hdl.core.memory import ConfigMemory
from stemcore.hdl.core.spike_emit import job_layout
from stemcore.hdl.layouts import struct
from tests.support.formal import implies, inner_signal, inner_state, planted, prove, refute
from tests.support.stand_ins import free

pytestmark = pytest.mark.sim

SMALL = get_preset("tiny").with_(
    n_fire_words=4,
    n_destinations=4,
    n_axons=2,
    coord_width=2,
    c_width=3,
    n_blocks=2,
    y_width=1,
    x_width=1,
)
FORMATS = Formats(SMALL)


# The first stage --------------------------------------------------------------------------------
class Activations(Elaboratable):
    """In the place of the activation memory: words that are the solver's, and stay."""

    def __init__(self, *, shape, depth, init):
        self.words = [AnyConst(Value.cast(Signal(shape)).shape().width) for _ in range(depth)]
        self._shape, self._port = shape, None

    def write_port(self):
        return SimpleNamespace(addr=Signal(8), data=Signal(self._shape), en=Signal())

    def read_port(self):
        self._port = SimpleNamespace(addr=Signal(8), data=Signal(self._shape), en=Signal())
        return self._port

    def elaborate(self, platform):
        m = Module()
        with m.If(self._port.en):
            m.d.sync += Value.cast(self._port.data).eq(Array(self.words)[self._port.addr])
        return m


class EveryPlaneIsFound(wiring.Component):
    """A scan finds the bit planes of all words, time step by time step, each once, as they are.

    Those with spikes go into the queue, those without are counted as empty, and the spikes found
    are told to the counter; when the scan is over, all have been. Its queue is ReservedQueue, whose
    slots are reserved as they must be. ``invariants`` tells the induction where a scan is.
    """

    def __init__(self, *faults, invariants=True):
        self._invariants = invariants
        module = planted(plane_scan, *faults)
        self._made = {}

        def activations(**options):
            self._made["ram"] = Activations(**options)
            return self._made["ram"]

        class Queue(free(module.ReservedQueue)):
            def __init__(queue, **options):
                super().__init__(**options)
                self._made["queue"] = queue

        module.RAM, module.ReservedQueue = activations, Queue
        self._scan = module.PlaneScan(SMALL)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        scan = self._scan
        m.submodules.scan = inner = scan.elaborate(platform)
        queue, words = self._made["queue"], self._made["ram"].words
        bits = AnyConst(4)
        begun, begins = Signal(), AnySeq(1)
        starts = begins & ~begun
        n_found, n_words = Signal(6), SMALL.n_fire_words
        names = ("plane_v", "word_v", "fetch_v", "scanning")
        plane_v, word_v, fetch_v, scanning = (inner_signal(inner, name) for name in names)
        plane = queue.i  # the last registers of the pipeline, whether it counts or not
        settled = Signal()  # bits and words are constant from the cycle before
        m.d.sync += [settled.eq(1), begun.eq(begun | starts)]
        m.d.comb += [
            Assume((bits >= 2) & (bits <= 8)),
            Assume(settled | ~begins),
            scan.start.eq(starts),
            scan.n_words.eq(n_words),
            scan.bits.eq(bits),
            scan.pop.eq(AnySeq(1)),
        ]
        t, word = n_found[2:], n_found[:2]
        # The memory FIRE answers two cycles after it was read, and holds that.
        entries = Array([AnyConst(len(Value.cast(scan.fire))) for _ in range(n_words)])
        asked, asked_word = Signal(), Signal(2)
        m.d.sync += [asked.eq(scan.fire_enable), asked_word.eq(scan.fire_address)]
        with m.If(asked):
            m.d.sync += Value.cast(scan.fire).eq(entries[asked_word])
        values = Array(words)[word]
        bit = (bits - 1 - t)[:3]
        found = Cat(values.word_select(k, 8).bit_select(bit, 1) for k in range(SMALL.lanes))
        told, expected = scan.fired, [Signal(4, name=f"expected_{k}") for k in range(2)]
        m.d.sync += n_found.eq(n_found + plane_v)
        m.d.sync += [expected[0].eq(Mux(plane_v, sum(plane.lanes), 0)), expected[1].eq(expected[0])]
        m.d.comb += [
            Assert(implies(plane_v, plane.t == t)),
            Assert(implies(plane_v, plane.fire.as_value() == entries[word])),
            Assert(implies(plane_v, plane.lanes == found)),
            Assert(queue.push == (plane_v & found.any())),
            Assert(queue.cancel == (plane_v & ~found.any())),
            Assert(implies(queue.push, queue.i.as_value() == plane.as_value())),
            Assert(implies(queue.reserve, queue.room)),
            Assert(told == expected[1]),
            Assert(n_found <= bits * n_words),
            Assert(
                implies(begun & ~(scanning | fetch_v | word_v | plane_v), n_found == bits * n_words)
            ),
        ]
        if self._invariants:
            self._tell(m, inner, bits, begun, n_found, words, asked_word)
            m.d.comb += Assert(asked == word_v)
        return m

    @staticmethod
    def _tell(m, inner, bits, begun, n_found, words, word_address):
        valid = [inner_signal(inner, name) for name in ("plane_v", "word_v", "fetch_v", "scanning")]
        place = data.StructLayout({"word": SMALL.fire_address_width, "t": T_WIDTH})
        at, fetch_at = (place(inner_signal(inner, name)) for name in ("at", "fetch_at"))
        word_at = place(Cat(word_address, inner_signal(inner, "word_t")))
        bit = [inner_signal(inner, name) for name in ("word_bit", "fetch_bit", "bit")]
        total = bits * SMALL.n_fire_words
        number = n_found
        for stage, (is_there, where) in enumerate(
            zip(valid[1:], (word_at, fetch_at, at), strict=True)
        ):
            number = number + valid[stage]
            m.d.comb += Assert(
                implies(
                    is_there,
                    (where.word == number[:2])
                    & (where.t == number[2:])
                    & (bit[stage] == bits - 1 - where.t)
                    & (number < total),
                )
            )
        m.d.comb += [
            Assert(implies(valid[1], inner_signal(inner, "word") == Array(words)[word_at.word])),
            Assert(implies(~begun, ~Cat(valid).any() & (n_found == 0))),
            Assert(implies(begun & ~valid[3], number == total)),
            Assert(
                implies(
                    valid[3],
                    inner_signal(inner, "is_last_word") == (at.word == SMALL.n_fire_words - 1),
                )
            ),
            Assert(implies(begun, inner_signal(inner, "last_word") == SMALL.n_fire_words - 1)),
        ]


def test_every_plane_is_found():
    sizes = f"{SMALL.n_fire_words} words of {SMALL.lanes} lanes, 2 to 8 bits"
    prove(EveryPlaneIsFound(), "plane_scan", mode="prove", depth=2, sizes=sizes)


SCAN_FAULTS = {
    "a word less": ("last_word.eq(self.n_words - 1)", "last_word.eq(self.n_words - 2)"),
    "the entry of the word before": (
        "self.fire_address.eq(fetch_at.word)",
        "self.fire_address.eq(fetch_at.word - 1)",
    ),
    "a time step less": ("is_last_plane = bit == 0", "is_last_plane = bit == 1"),
    "the plane after": ("fetch_bit.eq(bit)", "fetch_bit.eq(bit - 1)"),
    "visits without room": ("visit.eq(scanning & queue.room)", "visit.eq(scanning)"),
    "forgets planes of one lane": (
        "queue.push.eq(plane_v & plane.lanes.any())",
        "queue.push.eq(plane_v & plane.lanes[1:].any())",
    ),
}


@pytest.mark.parametrize("fault", SCAN_FAULTS)
def test_faults_of_the_scan_are_found(fault):
    component = EveryPlaneIsFound(SCAN_FAULTS[fault], invariants=False)
    refute(component, f"plane_scan_{fault.replace(' ', '_')}", depth=18)


# The stage between ------------------------------------------------------------------------------
class Table(ConfigMemory):
    """A memory whose words are the solver's, and stay."""

    def elaborate(self, platform):
        m = Module()
        words = [AnyConst(len(self.data)) for _ in range(self._depth)]
        m.d.comb += [Value.cast(self.words[k]).eq(word) for k, word in enumerate(words)]
        m.d.sync += self.fetched.eq(self.enable)
        with m.If(self.enable):
            m.d.sync += self.word.eq(Array(words)[self.address])
        with m.If(self.fetched):
            m.d.sync += self.data.eq(self.word)
        return m


class EveryEntryGetsAJob(wiring.Component):
    """Of each plane there is one job for each destination entry of its word, in their order.

    With the lanes, time step and coordinates of the plane, and the entry as the table has it;
    whatever waits in the queue of jobs and however CREDIT lists borrow the table. The jobs of END,
    one for each entry of ``end_list``, come once all planes have gone, once a firing; and ``busy``
    does not end before the last flit has gone. ``invariants`` tells the induction what the stages
    hold.
    """

    def __init__(self, *faults, invariants=True):
        self._invariants = invariants
        module = planted(axon_out, *faults)
        self._made = {}

        def noted(name, kind):
            class Noted(kind):
                def __init__(block, *args, **options):
                    super().__init__(*args, **options)
                    self._made[options.get("memory", name)] = block

            return Noted

        class Shown(Table):
            def __init__(self, *, params, memory, registered=False):
                assert registered
                super().__init__(params=params, memory=memory, registered=registered)
                self.fetched, self.word = Signal(), Signal(len(self.data))
                self.words = [Signal(len(self.data), name=f"word_{k}") for k in range(self._depth)]

        module.ConfigMemory = noted("table", Shown)
        for name in ("PlaneScan", "ReservedQueue", "SpikeEmit"):
            setattr(module, name, noted(name, free(getattr(module, name))))
        self._block = module.AxonOut(SMALL)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        block = self._block
        m.submodules.axon_out = inner = block.elaborate(platform)
        scan, jobs, emit = (
            self._made[name] for name in ("PlaneScan", "ReservedQueue", "SpikeEmit")
        )
        table = self._made[Memory.DESTINATION]
        entries = Array(table.words)
        start, count, fires_now = AnyConst(2), AnyConst(3), AnySeq(1)
        m.d.comb += [
            block.end_list.start.eq(start),
            block.end_list.count.eq(count),
            Assume(count <= SMALL.n_destinations),
            Assume(scan.plane.fire.count <= SMALL.n_destinations),
            block.fire.eq(fires_now & ~block.busy),
            block.borrow.eq(AnySeq(1)),
            block.borrow_address.eq(AnySeq(2)),
            # A scan is over only when all its planes have been taken, and none comes after.
            Assume(implies(scan.valid, ~scan.idle & inner_state(inner, "phase", "FIRE"))),
        ]
        # The loops: a plane whose entries are read, or the list of ENDs, and one that waits.
        at, next_ = (Signal(plane_scan.plane_layout(SMALL), name=name) for name in ("at", "next"))
        is_at, is_next, is_end, k = Signal(), Signal(), Signal(), Signal(4)
        has_ended, read, ready = Signal(), inner_signal(inner, "read"), Signal()
        fire = at.fire
        n = Mux(is_end, count, fire.count)
        m.d.comb += ready.eq(inner_signal(inner, "expand_ready"))
        ends_now = ready & ~is_next & scan.idle & block.busy & ~has_ended
        with m.If(ready):
            m.d.sync += [is_at.eq(is_next | ends_now), at.eq(next_), is_end.eq(ends_now), k.eq(0)]
        with m.Else():
            m.d.sync += k.eq(k + read)
        with m.If(ready | ~is_next):
            m.d.sync += [is_next.eq(scan.valid), next_.eq(scan.plane)]
        with m.If(block.fire):
            m.d.sync += has_ended.eq(0)
        with m.Elif(ends_now):
            m.d.sync += has_ended.eq(1)
        entry = (Mux(is_end, start, fire.start) + k)[:2]
        is_read, reading, fetched = Signal(), Signal(job_layout(SMALL)), Signal(len(entries[0]))
        was_read, job, word = Signal(), Signal(job_layout(SMALL)), Signal(len(entries[0]))
        m.d.sync += [
            is_read.eq(read),
            fetched.eq(entries[entry]),
            was_read.eq(is_read),
            job.eq(reading),
            word.eq(fetched),
        ]
        with m.If(is_end):
            m.d.sync += [reading.lanes.eq(1), reading.source.eq(0), reading.source.is_end.eq(1)]
        with m.Else():
            m.d.sync += [
                reading.lanes.eq(at.lanes),
                reading.source.is_end.eq(0),
                reading.source.t.eq(at.t),
                *(reading.source[name].eq(fire[name]) for name in ("block", "y", "x")),
            ]
        m.d.comb += [
            Assert(scan.pop == (scan.valid & (ready | ~is_next))),
            Assert(implies(read, is_at & (k < n))),
            Assert(implies(is_at & ready, k + read == n)),
            Assert(jobs.reserve == read),
            Assert(implies(read, jobs.room & ~block.borrow)),
            Assert(jobs.push == was_read),
            Assert(implies(was_read, (jobs.i.lanes == job.lanes))),
            Assert(implies(was_read, jobs.i.source.as_value() == job.source.as_value())),
            Assert(implies(was_read, jobs.i.destination.as_value() == word)),
        ]
        over, was_busy = Signal(), Signal()
        m.d.sync += [was_busy.eq(block.busy), over.eq(has_ended & ~is_at & jobs.idle & emit.idle)]
        m.d.comb += Assert(implies(was_busy & ~block.busy, over))
        if self._invariants:
            self._tell(m, inner, is_at, is_next, is_end, has_ended, at, next_, k, n, start)
            names = ("read_v", "read_lanes", "read_source")
            read_v, lanes, source = (inner_signal(inner, name) for name in names)
            m.d.comb += [
                Assert(read_v == is_read),
                Assert(implies(is_read, lanes == reading.lanes)),
                Assert(implies(is_read, Value.cast(source) == reading.source.as_value())),
                Assert(implies(is_read, table.fetched & (table.word == fetched))),
            ]
        return m

    def _tell(self, m, inner, is_at, is_next, is_end, has_ended, at, next_, k, n, start):
        fire = at.fire
        names = ("entry_v", "expand_v", "several", "expand_lanes", "expand_run", "expand_source")
        entry_v, expand_v, several, lanes, run, source = (inner_signal(inner, n) for n in names)
        run = struct(FORMATS.token_list)(run)
        source = spike_emit.source_layout(SMALL)(source)
        entry_plane, entry_several = (
            inner_signal(inner, name) for name in ("entry_plane", "entry_several")
        )
        idle, fires, drains = (inner_state(inner, "phase", n) for n in ("IDLE", "FIRE", "DRAIN"))
        is_plane = expand_v & ~is_end
        m.d.comb += [
            Assert(idle | fires | drains),
            Assert(entry_v == is_next),
            Assert(expand_v == is_at),
            Assert(implies(is_next, entry_plane == next_.as_value())),
            Assert(implies(is_next, entry_several == (next_.fire.count > 1))),
            Assert(implies(expand_v, (k <= n) & (run.count == n - k))),
            Assert(implies(expand_v, run.start == (Mux(is_end, start, fire.start) + k)[:2])),
            Assert(implies(expand_v, several == (run.count > 1))),
            Assert(implies(expand_v, source.is_end == is_end)),
            Assert(implies(is_end & expand_v, (lanes == 1) & has_ended)),
            Assert(implies(is_end & expand_v, source.as_value() == 1)),
            Assert(implies(is_plane, (lanes == at.lanes) & (source.t == at.t))),
            *(
                Assert(implies(is_plane, source[name] == fire[name]))
                for name in ("block", "y", "x")
            ),
            Assert(implies(fires, ~has_ended)),
            Assert(implies(drains, has_ended)),
            Assert(implies(is_next | is_plane, fires)),
            Assert(implies(idle, ~expand_v)),
        ]


def test_every_entry_gets_a_job_of_each_plane():
    sizes = f"{SMALL.n_fire_words} words, {SMALL.n_destinations} entries, {SMALL.lanes} lanes"
    prove(EveryEntryGetsAJob(), "axon_out_jobs", mode="prove", depth=3, sizes=sizes)


JOB_FAULTS = {
    "ENDs before the last planes": ("scan.idle & ~entry_v", "scan.idle"),
    "the last of several entries is left out": (
        "several.eq(left[2:].any() | (left[1] & left[0]))",
        "several.eq(left[2:].any())",
    ),
    "the second of two entries is left out": (
        "entry_several.eq(scan.plane.fire.count[1:].any())",
        "entry_several.eq(0)",
    ),
    "reads what is borrowed": ("jobs.room & ~self.borrow", "jobs.room"),
    "over before the jobs": ("~expand_v & jobs.idle & emit.idle", "~expand_v & emit.idle"),
}


@pytest.mark.parametrize("fault", JOB_FAULTS)
def test_faults_of_jobs_are_found(fault):
    component = EveryEntryGetsAJob(JOB_FAULTS[fault], invariants=False)
    refute(component, f"axon_out_jobs_{fault.replace(' ', '_')}", depth=10)


# The last stage ---------------------------------------------------------------------------------
WIDE = SMALL.with_(lanes=8, c_width=4)
GROUP = 4


class EachLaneOfAJobOnce(wiring.Component):
    """Any one job of spikes: a flit for each of its lanes, ascending, and none besides.

    Its flits come after all of the jobs before it, whatever waits of the mesh and of PACE, and
    whatever gap there is between flits; when the stage is idle, none is left. ``invariants`` tells
    the induction where a job's lanes are that have not been sent.
    """

    def __init__(self, *faults, invariants=True):
        self._invariants = invariants
        module = planted(spike_emit, *faults)
        self._emit = module.SpikeEmit(WIDE)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        emit = self._emit
        m.submodules.emit = inner = emit.elaborate(platform)
        job = emit.job
        # Jobs say by a mark of their own whether they are the watched one.
        is_watched, was_watched = AnySeq(1), Signal()
        gap = AnyConst(len(emit.gap))
        m.d.comb += [
            emit.valid.eq(AnySeq(1)),
            Value.cast(job).eq(AnySeq(len(Value.cast(job)))),
            emit.held.eq(AnySeq(1)),
            emit.gap.eq(gap),
            emit.o.ready.eq(AnySeq(1)),
            Assume(implies(emit.valid, job.lanes != 0)),
            Assume(job.source.is_end == 0),
            Assume(implies(emit.valid, job.source.y == is_watched)),
            Assume(implies(was_watched, ~is_watched)),
        ]
        spike = struct(Formats(WIDE).spike)(emit.o.payload.payload[: Formats(WIDE).spike.width])
        taken = emit.o.valid & emit.o.ready
        lane = Signal(range(WIDE.lanes))
        left, before, others = Signal(WIDE.lanes), Signal(range(20)), Signal(range(20))
        is_it, enters = taken & spike.y, emit.pop & is_watched
        m.d.comb += [
            lane.eq(spike.c),
            Assert(implies(is_it, left == (left & -(1 << lane)))),
            Assert(implies(is_it, (left >> lane)[0] & (before == 0))),
            Assert(implies(emit.idle, (left == 0) & (others == 0))),
        ]
        n_lanes = sum(job.lanes)
        m.d.sync += [
            others.eq(others + Mux(emit.pop & ~is_watched, n_lanes, 0) - (taken & ~spike.y)),
        ]
        with m.If(enters):
            m.d.sync += [
                was_watched.eq(1),
                left.eq(job.lanes),
                before.eq(others - (taken & ~spike.y)),
            ]
        with m.Else():
            with m.If(is_it):
                m.d.sync += left.eq(left & ~(1 << lane))
            with m.If(taken & ~spike.y & (before != 0)):
                m.d.sync += before.eq(before - 1)
        if self._invariants:
            self._tell(m, inner, spike, was_watched, left, before, others)
        return m

    def _tell(self, m, inner, spike, was_watched, left, before, others):
        names = ("group_v", "lane_v", "groups", "lanes", "group_job", "lane_job")
        group_v, lane_v, groups, lanes, group_job, lane_job = (
            inner_signal(inner, name) for name in names
        )
        names = ("last_group", "last_lane", "single_lanes")
        last_group, last_lane, single_lanes = (inner_signal(inner, name) for name in names)
        group_job = spike_emit.job_layout(WIDE)(group_job)
        lane_job = data.StructLayout(
            {
                "source": spike_emit.source_layout(WIDE),
                "destination": struct(Formats(WIDE).destination),
                "group": WIDE.lane_width - 2,
            }
        )(lane_job)
        o = self._emit.o
        # What each stage has not handed on.
        in_group = Cat(
            Mux(group_v & groups[k], group_job.lanes[k * GROUP : (k + 1) * GROUP], 0)
            for k in range(WIDE.lanes // GROUP)
        )
        in_lane = Mux(lane_v, lanes << (lane_job.group * GROUP), 0)[: WIDE.lanes]
        in_o = Mux(o.valid, 1 << spike.c[:3], 0)[: WIDE.lanes]
        marks = (group_job.source.y, lane_job.source.y, spike.y)
        stages = (in_group, in_lane, in_o)
        n_others = [Mux(mark, 0, sum(stage)) for mark, stage in zip(marks, stages, strict=True)]
        mine = [Mux(mark, stage, 0) for mark, stage in zip(marks, stages, strict=True)]
        is_in = [(stage != 0) & mark for mark, stage in zip(marks, stages, strict=True)]
        m.d.comb += [
            Assert(left == (mine[0] | mine[1] | mine[2])),
            Assert(((mine[0] & mine[1]) | (mine[1] & mine[2]) | (mine[0] & mine[2])) == 0),
            Assert(implies(~was_watched, left == 0)),
            Assert(others == sum(n_others)),
            Assert(implies(lane_v, lanes != 0)),
            Assert(implies(group_v, groups != 0)),
            Assert(implies(lane_v, last_lane == (sum(lanes) == 1))),
            Assert(implies(group_v, last_group == (sum(groups) == 1))),
            *(
                Assert(
                    implies(
                        group_v & groups[k],
                        single_lanes[k] == (sum(group_job.lanes[k * GROUP : (k + 1) * GROUP]) == 1),
                    )
                )
                for k in range(WIDE.lanes // GROUP)
            ),
            # Earlier jobs are in later stages.
            Assert(implies(is_in[0], before == n_others[1] + n_others[2])),
            Assert(implies(~is_in[0] & is_in[1], before == n_others[2])),
            Assert(implies(~is_in[0] & ~is_in[1] & is_in[2], before == 0)),
            *(
                Assert(
                    implies(group_v & groups[k], group_job.lanes[k * GROUP : (k + 1) * GROUP].any())
                )
                for k in range(WIDE.lanes // GROUP)
            ),
            # The lanes of a job leave the stages in their order.
            Assert(implies(is_in[0] & is_in[1], (mine[0] & -mine[0]) > mine[1])),
            Assert(implies(is_in[0] & is_in[2], (mine[0] & -mine[0]) > mine[2])),
            Assert(implies(is_in[1] & is_in[2], (mine[1] & -mine[1]) > mine[2])),
            Assert(implies(is_in[0] & (n_others[1] != 0), ~is_in[2])),
        ]


def test_the_last_stage_sends_each_lane_of_a_job_once():
    sizes = f"{WIDE.lanes} lanes, full flits"
    prove(EachLaneOfAJobOnce(), "spike_emit", mode="prove", depth=2, sizes=sizes)


EMIT_FAULTS = {
    "forgets the second of two": ("last_lane.eq(is_single)", "last_lane.eq(1)"),
    "forgets the third of three": ("last_lane.eq(self._is_single(lane_rest))", "last_lane.eq(1)"),
    "forgets the second group": (
        "last_group.eq(self._is_single(coming_groups))",
        "last_group.eq(1)",
    ),
    "sends while the mesh waits": (
        "o_is_free.eq(~self.o.valid | self.o.ready)",
        "o_is_free.eq(1)",
    ),
    "forgets while held": ("with m.Elif(o_ready):", "with m.Elif(o_is_free):"),
}


@pytest.mark.parametrize("fault", EMIT_FAULTS)
def test_faults_of_the_last_stage_are_found(fault):
    component = EachLaneOfAJobOnce(EMIT_FAULTS[fault], invariants=False)
    refute(component, f"spike_emit_{fault.replace(' ', '_')}", depth=10)
