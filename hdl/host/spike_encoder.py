# SPDX-License-Identifier: Apache-2.0
"""Bytes of a sample become the flits of its spikes, in the order of the host's."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.codec import WORD_BYTES, CodecFormats, CodecRegister
from stemcore.golden.spec.fields import Formats, Kind

from ..layouts import flit_stream, struct
from .box_scan import BoxScan, cursor_layout
from .turns import FirstTurn, NextTurn, key_width, turns_layout

SAMPLE = CodecRegister.SAMPLE


class SpikeEncoder(wiring.Component):
    """Holds one sample, and sends its spikes time step by time step, routes in turns.

    In each time step the spikes of every route are counted; then, spike by spike, the route whose
    turn comes first is sought, and its next spike. A sample of R routes takes a cycle for each of
    its words and in each time step two for every value of every box, about 2 * value_width for
    every route, and about R + 6 for every spike.
    Golden: ``stemcore.runtime.host.flits.Host.parts``.

    Parameters
    ----------
    formats : CodecFormats

    Members
    -------
    registers : ``In(SAMPLE)``
    begin : ``In(1)``
        A sample comes: its words follow. Only while ``idle``.
    word : ``In(64)``, word_valid : ``In(1)``
        A word, which is taken in this cycle; only while ``receiving``.
    idle, receiving : ``Out(1)``
    route_address, route : ``Out``, ``In(formats.route)``
        Read port of ROUTE.
    may_begin : ``In(1)``, begins : ``Out(1)``
        CREDITs permit the next token period; they are used up.
    may_send : ``In(1)``
        No destination has asked to hold.
    send_ends : ``Out(1)``, ends_sent : ``In(1)``
        The period's ENDs are to be sent; the last one is taken.
    o : ``Out(stream)`` of flits
        ``valid`` may go without the flit having been taken, when ``may_send`` does.
    """

    def __init__(self, *, formats: CodecFormats):
        self._formats = formats
        super().__init__(
            {
                "registers": In(struct(formats.registers[SAMPLE])),
                "begin": In(1),
                "word": In(8 * WORD_BYTES),
                "word_valid": In(1),
                "idle": Out(1),
                "receiving": Out(1),
                "route_address": Out(range(formats.codec.n_routes)),
                "route": In(struct(formats.route)),
                "may_begin": In(1),
                "begins": Out(1),
                "may_send": In(1),
                "send_ends": Out(1),
                "ends_sent": In(1),
                "o": Out(flit_stream(formats.params)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        formats = self._formats
        count_width = formats.codec.value_width
        state = data.StructLayout(
            {"turns": turns_layout(count_width), "cursor": cursor_layout(formats)}
        )
        m.submodules.sample = sample = RAM(
            shape=8 * WORD_BYTES, depth=formats.codec.n_values // WORD_BYTES, init=[]
        )
        m.submodules.states = states = RAM(shape=state, depth=formats.codec.n_routes, init=[])
        m.submodules.scan = scan = BoxScan(formats=formats)
        m.submodules.first = first = FirstTurn(count_width=count_width)
        m.submodules.next = following = NextTurn(count_width=count_width)
        sample_write, sample_read = sample.write_port(), sample.read_port()
        write, read = states.write_port(), states.read_port()

        n_words = Signal.like(self.registers.words)
        t = Signal.like(self.registers.steps)
        in_period = Signal.like(self.registers.period)
        route = Signal(range(formats.codec.n_routes + 1))
        count = Signal(count_width + 1)
        cursor = Signal(cursor_layout(formats))
        turns = Signal(turns_layout(count_width))
        has_period = Signal()  # CREDITs of this token period are used up
        m.d.comb += [
            sample_write.addr.eq(n_words),
            sample_write.data.eq(self.word),
            sample_read.addr.eq(scan.address),
            scan.word.eq(sample_read.data),
            scan.box.eq(self.route),
            scan.t.eq(t),
            scan.after.eq(read.data.cursor),
            first.n.eq(count),
            following.i.eq(read.data.turns),
            self.route_address.eq(route),
            read.addr.eq(route),
            write.addr.eq(route),
        ]
        self._flit(m, read.data.cursor, t)
        best = Signal.like(route)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [n_words.eq(0), t.eq(0), in_period.eq(0), route.eq(0)]
                with m.If(self.begin):
                    m.next = "RECEIVE"
            with m.State("RECEIVE"):
                m.d.comb += [self.receiving.eq(1), sample_write.en.eq(self.word_valid)]
                with m.If(self.word_valid):
                    m.d.sync += n_words.eq(n_words + 1)
                    with m.If(n_words + 1 == self.registers.words):
                        m.next = "ROUTE"
            with m.State("ROUTE"):  # the route is read
                m.d.sync += count.eq(0)
                m.next = "LOOK"
            with m.State("LOOK"):
                with m.If(t < self.route.bits):
                    m.d.comb += scan.start.eq(1)
                    m.next = "COUNT"
                with m.Else():
                    m.next = "COUNTED"
            with m.State("COUNT"):
                with m.If(scan.hit):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == 0):
                        m.d.sync += cursor.eq(scan.found)
                with m.If(scan.ended):
                    m.next = "COUNTED"
            with m.State("COUNTED"):
                m.d.comb += first.start.eq(1)
                m.d.sync += turns.eq(0)
                with m.If(count == 0):
                    m.next = "STORE"
                with m.Else():
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += turns.eq(first.o)
                with m.If(first.done):
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += [
                    write.data.turns.eq(turns),
                    write.data.cursor.eq(cursor),
                    write.en.eq(1),
                ]
                m.d.sync += route.eq(route + 1)
                m.next = "ROUTE"
                with m.If(route + 1 == self.registers.routes):
                    m.d.sync += route.eq(0)
                    m.next = "PERMIT"
            with m.State("PERMIT"):
                m.d.comb += self.begins.eq(~has_period & self.may_begin)
                with m.If(has_period | self.may_begin):
                    m.d.sync += has_period.eq(1)
                    m.next = "TURNS"
            self._merge(m, read, write, scan, following, route, best)
            with m.State("STEP"):
                m.d.sync += [t.eq(t + 1), in_period.eq(in_period + 1), route.eq(0)]
                with m.If(in_period + 1 == self.registers.period):
                    m.next = "ENDS"
                with m.Else():
                    m.next = "ROUTE"
            with m.State("ENDS"):
                m.d.comb += self.send_ends.eq(1)
                m.d.sync += in_period.eq(0)
                with m.If(self.ends_sent):
                    m.d.sync += has_period.eq(0)
                    m.next = "ROUTE"
                    with m.If(t == self.registers.steps):
                        m.next = "IDLE"
        return m

    def _flit(self, m, cursor, t):
        """What is sent: the spike at the route's cursor."""
        flit, route = self.o.payload, self.route
        spike = struct(Formats(self._formats.params).spike)(
            flit.payload[: Formats(self._formats.params).spike.width]
        )
        m.d.comb += [
            flit.kind.eq(Kind.SPIKE.value),
            *(
                flit[name].eq(route[f"node_{name}"])
                for name, _ in Formats(self._formats.params).rectangle.widths
            ),
            spike.axon.eq(route.axon),
            spike.t.eq(t),
            *(spike[name].eq(cursor[name]) for name in ("c", "y", "x")),
        ]

    def _merge(self, m, read, write, scan, following, route, best):
        """States: the route whose turn is first, its spike, and the spike after that one."""
        formats = self._formats
        looks = Signal()  # at the route that was read in the cycle before
        looked_at = Signal.like(route)
        any_left = Signal()
        key = Signal(key_width(formats.codec.value_width))
        turns = read.data.turns
        wins = Signal()
        m.d.comb += wins.eq(looks & (turns.left != 0) & (~any_left | (turns.key < key)))
        with m.State("TURNS"):
            # Of equal turns that of the lowest route comes first.
            m.d.sync += [looks.eq(route != self.registers.routes), looked_at.eq(route)]
            with m.If(route != self.registers.routes):
                m.d.sync += route.eq(route + 1)
            with m.If(wins):
                m.d.sync += [best.eq(looked_at), any_left.eq(1), key.eq(turns.key)]
            with m.If(looks & (looked_at + 1 == self.registers.routes)):
                m.d.sync += [looks.eq(0), any_left.eq(0)]
                with m.If(wins | any_left):
                    m.d.sync += route.eq(best)
                    with m.If(wins):
                        m.d.sync += route.eq(looked_at)
                    m.next = "FETCH"
                with m.Else():
                    m.next = "STEP"
        with m.State("FETCH"):
            m.next = "SEND"
        with m.State("SEND"):
            m.d.comb += self.o.valid.eq(self.may_send)
            with m.If(self.o.ready & self.may_send):
                with m.If(turns.left == 1):
                    m.next = "ADVANCE"
                with m.Else():
                    m.d.comb += scan.resume.eq(1)
                    m.next = "SEEK"
        with m.State("SEEK"):
            m.d.comb += scan.seek.eq(1)
            with m.If(scan.hit):
                m.next = "ADVANCE"
        with m.State("ADVANCE"):
            m.d.comb += [
                write.data.turns.eq(following.o),
                write.data.cursor.eq(scan.found),
                write.en.eq(1),
            ]
            m.d.sync += route.eq(0)
            m.next = "TURNS"
