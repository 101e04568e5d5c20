# SPDX-License-Identifier: Apache-2.0
"""The last stages of axon-out: one flit for every spike of a plane."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import GAP_WIDTH, T_WIDTH

from ..layouts import flit_stream, struct

# The lowest spike is found in two steps: the lowest group of lanes, then the lane.
_GROUP = 4


def source_layout(params: ChipParams) -> data.StructLayout:
    """What a flit says of its source, but for the lane."""
    fire = struct(Formats(params).fire)
    return data.StructLayout(
        {
            "is_end": 1,
            "t": T_WIDTH,
            "block": fire["block"].shape,
            "y": fire["y"].shape,
            "x": fire["x"].shape,
        }
    )


def job_layout(params: ChipParams) -> data.StructLayout:
    """The spikes of one plane for one destination entry; END is a single spike."""
    return data.StructLayout(
        {
            "lanes": params.lanes,
            "source": source_layout(params),
            "destination": struct(Formats(params).destination),
        }
    )


class SpikeEmit(wiring.Component):
    """Makes one flit for every spike of a job, lowest lane first, one flit a cycle at most.

    ``gap`` cycles pass from one flit to the next, and after the last one before ``idle``.

    The first flit of a job stands on ``o`` three cycles after ``pop``; jobs follow without a gap.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    valid, job : ``In``
        The next job. At least one of its lanes is set.
    pop : ``Out(1)``
        It is taken.
    gap : ``In(GAP_WIDTH)``
        Cycles from a flit to the next, at least; 0 and 1 are the same. Constant while not idle.
    held : ``In(1)``
        No flit is put on ``o``.
    o : ``Out(flit_stream)``
        Registers drive it.
    idle : ``Out(1)``
        Nothing is left.
    """

    def __init__(self, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "valid": In(1),
                "job": In(job_layout(params)),
                "pop": Out(1),
                "gap": In(GAP_WIDTH),
                "held": In(1),
                "o": Out(flit_stream(params)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self._params
        n_groups = params.lanes // _GROUP

        # Stage "group" holds a job, "lane" the spikes of a group, "o" a flit.
        group_v = Signal()
        lane_v = Signal()
        group_job = Signal(job_layout(params), reset_less=True)
        groups = Signal(n_groups, reset_less=True)  # with spikes not handed on yet
        single_lanes = Signal(n_groups, reset_less=True)  # groups with one spike
        # One group, one lane is left. Registers: all that waits for a stage learns it from them.
        last_group = Signal(reset_less=True)
        last_lane = Signal(reset_less=True)
        lane_job = Signal(
            data.StructLayout(
                {
                    "source": source_layout(params),
                    "destination": struct(Formats(params).destination),
                    "group": params.lane_width - 2,
                }
            ),
            reset_less=True,
        )
        lanes = Signal(_GROUP, reset_less=True)
        group_ready = Signal()
        lane_ready = Signal()
        o_ready = Signal()
        o_is_free = Signal()
        is_open = Signal()
        may_send = Signal(init=1)
        wait = Signal(GAP_WIDTH)
        group_rest = Signal.like(groups)
        lane_rest = Signal.like(lanes)
        m.d.comb += [
            group_rest.eq(groups & (groups - 1)),
            lane_rest.eq(lanes & (lanes - 1)),
            o_is_free.eq(~self.o.valid | self.o.ready),
            is_open.eq(may_send & ~self.held),
            o_ready.eq(o_is_free & is_open),
            lane_ready.eq(~lane_v | (o_ready & last_lane)),
            group_ready.eq(~group_v | (lane_ready & last_group)),
            self.pop.eq(self.valid & group_ready),
            self.idle.eq(~(group_v | lane_v | self.o.valid) & may_send),
        ]

        # What a stage holds while it is not valid means nothing: enables need not wait for more
        # than that it is free.
        coming = self._groups(self.job.lanes)
        coming_groups = Signal.like(groups)
        m.d.comb += coming_groups.eq(Cat(part.any() for part in coming))
        with m.If(group_ready):
            m.d.sync += [
                group_v.eq(self.valid),
                group_job.eq(self.job),
                groups.eq(coming_groups),
                last_group.eq(self._is_single(coming_groups)),
                single_lanes.eq(Cat(self._is_single(part) for part in coming)),
            ]
        with m.Elif(lane_ready):
            m.d.sync += [groups.eq(group_rest), last_group.eq(self._is_single(group_rest))]

        with m.If(lane_ready):
            index, lowest = self._lowest(groups, self._groups(group_job.lanes))
            _, is_single = self._lowest(groups, single_lanes)
            m.d.sync += [
                lane_v.eq(group_v),
                lanes.eq(lowest),
                last_lane.eq(is_single),
                lane_job.source.eq(group_job.source),
                lane_job.destination.eq(group_job.destination),
                lane_job.group.eq(index),
            ]
        with m.Elif(o_ready):
            m.d.sync += [lanes.eq(lane_rest), last_lane.eq(self._is_single(lane_rest))]

        with m.If(o_is_free):
            m.d.sync += self.o.valid.eq(lane_v & is_open)
        with m.If(~may_send):
            m.d.sync += [wait.eq(wait - 1), may_send.eq(wait == 2)]
        with m.Elif(o_ready & lane_v):
            m.d.sync += [wait.eq(self.gap), may_send.eq(~self.gap[1:].any())]
        with m.If(o_is_free):
            lane, _ = self._lowest(lanes, lanes)
            channel = Cat(Const(0, 2) | lane, lane_job.group, lane_job.source.block)
            m.d.sync += self.o.payload.eq(self._flit(m, lane_job, channel))
        return m

    def _groups(self, lanes):
        return [lanes[i : i + _GROUP] for i in range(0, self._params.lanes, _GROUP)]

    @staticmethod
    def _is_single(mask):
        """Whether one bit of ``mask`` is set, or none."""
        return (mask & (mask - 1)) == 0

    @staticmethod
    def _lowest(mask, values):
        """Position of the lowest set bit of ``mask``, and the element of ``values`` there."""
        index, value = Const(len(mask) - 1), values[-1]
        for i in reversed(range(len(mask) - 1)):
            index, value = Mux(mask[i], i, index), Mux(mask[i], values[i], value)
        return index, value

    def _flit(self, m, job, channel):
        formats = Formats(self._params)
        flit = Signal(struct(formats.flit))
        spike = Signal(struct(formats.spike))
        is_end = job.source.is_end
        m.d.comb += [
            spike.axon.eq(Mux(is_end, 0, job.destination.axon)),
            spike.t.eq(job.source.t),
            spike.c.eq(channel),
            spike.y.eq(job.source.y),
            spike.x.eq(job.source.x),
            flit.kind.eq(Mux(is_end, Kind.END.value, Kind.SPIKE.value)),
            flit.payload.eq(spike),
        ]
        m.d.comb += [flit[name].eq(job.destination[name]) for name, _ in formats.rectangle.widths]
        return flit
