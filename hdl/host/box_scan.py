# SPDX-License-Identifier: Apache-2.0
"""The spikes of a box of values in one time step, in the order in which a host sends them."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.codec import WORD_BYTES, CodecFormats
from stemcore.golden.spec.spike_code import bit_of_step

from ..layouts import struct

BYTE_WIDTH = WORD_BYTES.bit_length() - 1  # bits of the number of a byte in a word


def cursor_layout(formats: CodecFormats) -> data.StructLayout:
    """Coordinates of a value, and its place in the sample."""
    p = formats.params
    return data.StructLayout(
        {"c": p.c_width, "y": p.y_width, "x": p.x_width, "place": formats.codec.value_width}
    )


class BoxScan(wiring.Component):
    """Looks at the values of a box, one a cycle: x fastest, then y, then c.

    A value's bit of the time step is looked at in the cycle after its address; ``hit`` then says
    that it fires, and ``ended`` that it was the last of the box.

    Parameters
    ----------
    formats : CodecFormats

    Members
    -------
    box : ``In(formats.route)``, t : ``In``
        Stay while it scans.
    start : ``In(1)``
        Begins with the first value of the box.
    resume : ``In(1)``, after : ``In(cursor)``
        Begins with the value that follows ``after``, which is not the last.
    seek : ``In(1)``
        Ends with the first hit.
    address, word : ``Out``, ``In``
        Read port of the sample's memory, in words.
    hit, ended : ``Out(1)``
    found : ``Out(cursor)``
        The value of ``hit``; the last one of those sought stays.
    """

    def __init__(self, *, formats: CodecFormats):
        cursor = cursor_layout(formats)
        self._cursor = cursor
        super().__init__(
            {
                "box": In(struct(formats.route)),
                "t": In(formats.params.t_width),
                "start": In(1),
                "resume": In(1),
                "after": In(cursor),
                "seek": In(1),
                "address": Out(formats.codec.value_width - BYTE_WIDTH),
                "word": In(8 * WORD_BYTES),
                "hit": Out(1),
                "ended": Out(1),
                "found": Out(cursor),
            }
        )

    def elaborate(self, platform):
        m = Module()
        box = self.box
        here = Signal(self._cursor)
        origin = Signal(self._cursor)
        follower = Signal(self._cursor)
        runs = Signal()
        looks = Signal()
        was_last = Signal()
        ends_row = Signal()
        ends_channel = Signal()
        is_last = Signal()
        m.d.comb += [
            self.address.eq(here.place[BYTE_WIDTH:]),
            is_last.eq((here.x == box.x1) & (here.y == box.y1) & (here.c == box.c1)),
            # The value after the one that is looked at, or after ``after``.
            origin.eq(here),
            follower.eq(origin),
            ends_row.eq(origin.x == box.x1),
            ends_channel.eq(ends_row & (origin.y == box.y1)),
        ]
        with m.If(self.resume):
            m.d.comb += origin.eq(self.after)
        with m.If(ends_channel):
            m.d.comb += [
                follower.c.eq(origin.c + 1),
                follower.y.eq(box.y0),
                follower.x.eq(box.x0),
                follower.place.eq(origin.place + box.next_channel),
            ]
        with m.Elif(ends_row):
            m.d.comb += [
                follower.y.eq(origin.y + 1),
                follower.x.eq(box.x0),
                follower.place.eq(origin.place + box.next_row),
            ]
        with m.Else():
            m.d.comb += [follower.x.eq(origin.x + 1), follower.place.eq(origin.place + 1)]

        value = Signal(8)
        position = Signal(3)
        m.d.comb += [
            value.eq(self.word.word_select(self.found.place[:BYTE_WIDTH], 8)),
            position.eq(bit_of_step(box.bits, self.t)),
            self.hit.eq(looks & value.bit_select(position, 1)),
            self.ended.eq(looks & was_last),
        ]
        m.d.sync += looks.eq(runs)
        with m.If(self.hit & self.seek):
            m.d.sync += [runs.eq(0), looks.eq(0)]
        with m.Elif(runs):
            m.d.sync += [
                self.found.eq(here),
                here.eq(follower),
                was_last.eq(is_last),
                runs.eq(~is_last),
            ]
        with m.If(self.resume):
            m.d.sync += [here.eq(follower), runs.eq(1), looks.eq(0)]
        with m.Elif(self.start):
            m.d.sync += [
                here.c.eq(box.c0),
                here.y.eq(box.y0),
                here.x.eq(box.x0),
                here.place.eq(box.base),
                runs.eq(1),
                looks.eq(0),
            ]
        return m
