# SPDX-License-Identifier: Apache-2.0
"""Axon-out: fires the activations of a sample, bit plane by bit plane, and ends it."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH, GAP_WIDTH, T_WIDTH

from ..layouts import ConfigBus, flit_stream, struct
from .memory import ConfigMemory
from .plane_scan import PlaneScan
from .reserved_queue import ReservedQueue
from .soma_signature import ActivationPort
from .spike_emit import SpikeEmit, job_layout, source_layout

# The way from a destination's read to its slot given back takes five cycles; a power of two.
_QUEUE_DEPTH = 8


class AxonOut(wiring.Component):
    """Sends the spikes of the activations it holds, and END after them.

    ``fire``: for every time step of a token period, activation word, destination entry of the word
    and set lane, in this order of loops and each ascending, a SPIKE; then an END for every entry of
    ``end_list``. The payload of END is zero.

    One flit a cycle while planes with spikes are found in time: a word is scanned a cycle, ahead of
    the spikes sent; a word without destination entries takes a cycle. Cycles, from the command (not
    counted) to the last cycle of ``busy``, if every flit is accepted at once:

    ============= ================================================================
    no spikes     ``steps * n_fire + n + timing.FIRE_OVERHEAD`` for ``n`` ENDs and a period of
                  ``steps`` time steps; 4 less if ``n`` is 0
    first spike   on ``o`` ``timing.FIRE_CYCLES`` after the command if in the first word scanned
    ============= ================================================================

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    config : ``In(ConfigBus())``
        Writes the memories FIRE and DESTINATION.
    read_chunk : ``Out(32)``
        Their answer, from the third cycle after ``config.read`` on.
    words : ``In(ActivationPort(params))``
        Stores activation words; only while not busy.
    n_fire, bits : ``In``
        Activation words in use, and their time steps; constant from the cycle before ``fire`` on.
    end_list : ``In``
        Field ``token_list``.
    fire : ``In(1)``
        Command; only while not busy.
    gap : ``In(GAP_WIDTH)``
        Cycles from one flit to the next, at least; constant while busy. The figures above are
        for 0.
    held : ``In(1)``
        No flit leaves while it is set.
    borrow, borrow_address : ``In``
        Reads an entry of the memory DESTINATION, at any time; firing waits a cycle for it.
    borrowed : ``Out``
        The entry, in the second cycle after.
    t : ``In``
        With ``fire``: the first time step of the period.
    busy : ``Out(1)``
        From the cycle after ``fire`` until the last flit has been accepted.
    o : ``Out(flit_stream)``
        Registers drive it.
    fired : ``Out``
        Spikes just found, each once, wherever it goes.
    sent : ``Out(1)``
        A SPIKE has been accepted in the cycle before.
    """

    def __init__(self, params: ChipParams):
        formats = Formats(params)
        self._params = params
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "words": In(ActivationPort(params)),
                "n_fire": In(params.fire_address_width + 1),
                "bits": In(4),
                "end_list": In(struct(formats.token_list)),
                "fire": In(1),
                "gap": In(GAP_WIDTH),
                "held": In(1),
                "borrow": In(1),
                "borrow_address": In(params.destination_width),
                "borrowed": Out(struct(formats.destination)),
                "busy": Out(1),
                "o": Out(flit_stream(params)),
                "fired": Out(params.lane_width + 1),
                "sent": Out(1),
                "t": In(T_WIDTH),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self._params
        m.submodules.fire_table = table = ConfigMemory(
            params=params, memory=Memory.FIRE, registered=True
        )
        m.submodules.destinations = destinations = ConfigMemory(
            params=params, memory=Memory.DESTINATION, registered=True
        )
        m.submodules.scan = scan = PlaneScan(params)
        m.submodules.jobs = jobs = ReservedQueue(shape=job_layout(params), depth=_QUEUE_DEPTH)
        m.submodules.emit = emit = SpikeEmit(params)
        for memory in (table, destinations):
            connect(m, wiring.flipped(self.config), memory.config)
        asked = Signal.like(self.config.memory)
        with m.If(self.config.read):
            m.d.sync += asked.eq(self.config.memory)
        m.d.comb += self.read_chunk.eq(
            Mux(asked == Memory.FIRE.value, table.read_chunk, destinations.read_chunk)
        )
        connect(m, emit.o, wiring.flipped(self.o))
        connect(m, wiring.flipped(self.words), scan.words)
        m.d.comb += [
            scan.t.eq(self.t),
            scan.n_words.eq(self.n_fire),
            scan.bits.eq(self.bits),
            self.fired.eq(scan.fired),
            table.address.eq(scan.fire_address),
            table.enable.eq(scan.fire_enable),
            scan.fire.eq(table.data),
            emit.valid.eq(jobs.valid),
            emit.job.eq(jobs.o),
            emit.gap.eq(self.gap),
            emit.held.eq(self.held),
            jobs.pop.eq(emit.pop),
        ]
        m.d.sync += self.sent.eq(
            self.o.valid & self.o.ready & (self.o.payload.kind == Kind.SPIKE.value)
        )
        is_ending, expand_v, expand_ready, entry_v = self._expand(m, destinations, scan, jobs)

        with m.FSM(name="phase") as phase:
            with m.State("IDLE"):
                with m.If(self.fire):
                    m.d.comb += scan.start.eq(1)
                    m.next = "FIRE"
            with m.State("FIRE"):
                m.d.comb += is_ending.eq(scan.idle & ~entry_v)
                with m.If(is_ending & expand_ready):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(~expand_v & jobs.idle & emit.idle):
                    m.next = "IDLE"
        m.d.comb += self.busy.eq(~phase.ongoing("IDLE"))
        return m

    def _expand(self, m, destinations, scan, jobs):
        """Planes to jobs, one for each destination entry; and so the ENDs after them.

        Stage "entry" holds a plane, "expand" goes through the destination entries of its word,
        "read" and "job" wait for an entry. Returns what the state machine needs to send the ENDs:
        what asks for them, until "expand" is ready, and the state of the stages.
        """
        params = self._params
        entry_v = Signal()
        entry_plane = Signal.like(scan.plane, reset_less=True)
        entry_several = Signal(reset_less=True)  # its word has more than one destination entry
        expand_v = Signal()
        expand_lanes = Signal(params.lanes, reset_less=True)
        expand_source = Signal(source_layout(params), reset_less=True)
        expand_run = Signal.like(self.end_list, reset_less=True)
        expand_ready = Signal()
        may_read = Signal()
        read = Signal()
        is_ending = Signal()
        fire = entry_plane.fire

        with m.If(expand_ready | ~entry_v):
            m.d.comb += scan.pop.eq(scan.valid)
            m.d.sync += entry_v.eq(scan.valid)
        with m.If(scan.pop):
            m.d.sync += [
                entry_plane.eq(scan.plane),
                entry_several.eq(scan.plane.fire.count[1:].any()),
            ]

        # Room for the last entry, or no entry at all, ends a run. Whether more than one is left is
        # a register: the queue of planes waits for it.
        several = Signal()
        one, left = expand_run.count[0], expand_run.count
        m.d.comb += [
            may_read.eq(jobs.room & ~self.borrow),
            expand_ready.eq(~expand_v | (~several & (may_read | ~one))),
            read.eq(expand_v & may_read & (several | one)),
        ]
        # Whether this stage is ready comes late in a cycle. It enables; what is chosen is known
        # before, from whether the stage could be ready at all. It takes rubbish if nothing comes.
        could_be_ready = ~expand_v | ~several
        with m.If(expand_ready):
            m.d.sync += [
                expand_v.eq(entry_v | is_ending),
                expand_lanes.eq(Mux(is_ending, 1, entry_plane.lanes)),
                expand_source.is_end.eq(is_ending),
                expand_source.t.eq(Mux(is_ending, 0, entry_plane.t)),
                expand_source.block.eq(Mux(is_ending, 0, fire.block)),
                expand_source.y.eq(Mux(is_ending, 0, fire.y)),
                expand_source.x.eq(Mux(is_ending, 0, fire.x)),
            ]
        with m.If(could_be_ready):
            with m.If(expand_ready):
                m.d.sync += [
                    expand_run.start.eq(Mux(is_ending, self.end_list.start, fire.start)),
                    expand_run.count.eq(Mux(is_ending, self.end_list.count, fire.count)),
                    several.eq(Mux(is_ending, self.end_list.count[1:].any(), entry_several)),
                ]
        with m.Elif(read):
            m.d.sync += [
                expand_run.start.eq(expand_run.start + 1),
                expand_run.count.eq(left - 1),
                several.eq(left[2:].any() | (left[1] & left[0])),
            ]

        valid, lanes, source = read, expand_lanes, expand_source
        for stage in ("read", "job"):
            late_v = Signal(name=f"{stage}_v")
            late_lanes = Signal.like(lanes, name=f"{stage}_lanes", reset_less=True)
            late_source = Signal.like(source, name=f"{stage}_source", reset_less=True)
            m.d.sync += late_v.eq(valid)
            with m.If(valid):
                m.d.sync += [late_lanes.eq(lanes), late_source.eq(source)]
            valid, lanes, source = late_v, late_lanes, late_source
        m.d.comb += [
            destinations.address.eq(Mux(self.borrow, self.borrow_address, expand_run.start)),
            destinations.enable.eq(read | self.borrow),
            self.borrowed.eq(destinations.data),
            jobs.reserve.eq(read),
            jobs.push.eq(valid),
            jobs.i.lanes.eq(lanes),
            jobs.i.source.eq(source),
            jobs.i.destination.eq(destinations.data),
        ]
        return is_ending, expand_v, expand_ready, entry_v
