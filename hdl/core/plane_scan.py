# SPDX-License-Identifier: Apache-2.0
"""The activation memory, and the search for bit planes in which something fires."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.neuron_model import TokenPeriod
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.spike_code import bit_of_step
from stemcore.golden.spec.widths import T_WIDTH

from ..layouts import activation_word, struct
from .reserved_queue import ReservedQueue
from .soma_signature import ActivationPort

QUEUE_DEPTH = 8  # the way from a read to its slot given back takes five cycles
_COUNT_LANES = 4  # lanes whose spikes are counted in the first of two steps


def plane_layout(params: ChipParams) -> data.StructLayout:
    """Spikes of one word in one time step, one bit a lane, and the word's entry of FIRE."""
    return data.StructLayout(
        {"fire": struct(Formats(params).fire), "t": T_WIDTH, "lanes": params.lanes}
    )


class PlaneScan(wiring.Component):
    """Stores activation words and finds, a word a cycle, the bit planes that are not empty.

    A scan visits the time steps of a token period in ascending order, and words ``0 ..
    n_words - 1`` within each. A plane with spikes is offered four cycles after the
    visit; the scan goes on until ``QUEUE_DEPTH`` planes wait or are under way.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    words : ``In(ActivationPort(params))``
        Stores activation words; only while idle.
    start : ``In(1)``
        Begin a scan; only while idle. The first word is visited in the next cycle.
    t : ``In``
        With ``start``: the first time step of the period. Where that is the sample, 0.
    n_words, bits : ``In``
        Words to visit, and time steps of a sample; constant from the cycle before ``start`` to the
        end.
    valid, plane : ``Out``
        The next plane with spikes.
    pop : ``In(1)``
        Take it. Only if ``valid``.
    fire_enable, fire_address : ``Out(1)``, ``Out``
        Reads the entry of the memory FIRE for a word.
    fire : ``In``
        The entry, two cycles after ``fire_enable`` and until that of the next. It waits with the
        plane, so that nothing waits for the memory when the plane is taken.
    idle : ``Out(1)``
        The scan is over and its planes are taken.
    fired : ``Out``
        Spikes in a plane just found.
    """

    def __init__(self, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "words": In(ActivationPort(params)),
                "start": In(1),
                "n_words": In(params.fire_address_width + 1),
                "bits": In(4),
                "valid": Out(1),
                "plane": Out(plane_layout(params)),
                "pop": In(1),
                "fire_enable": Out(1),
                "fire_address": Out(params.fire_address_width),
                "fire": In(struct(Formats(params).fire)),
                "idle": Out(1),
                "fired": Out(params.lane_width + 1),
                "t": In(T_WIDTH),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self._params
        m.submodules.activations = ram = RAM(
            shape=activation_word(params), depth=params.n_fire_words, init=[]
        )
        write, read = ram.write_port(), ram.read_port()
        m.submodules.queue = queue = ReservedQueue(shape=plane_layout(params), depth=QUEUE_DEPTH)
        scanning = Signal()
        visit = Signal()
        at = Signal(data.StructLayout({"word": params.fire_address_width, "t": T_WIDTH}))
        bit = Signal(T_WIDTH)
        last_word = Signal.like(self.n_words)
        is_last_word = Signal()  # a register, since the scan's end waits for it
        is_sample = params.model.token_period is TokenPeriod.SAMPLE
        is_last_plane = bit == 0 if is_sample else Const(1)
        m.d.comb += [
            write.addr.eq(self.words.address),
            write.data.eq(self.words.word),
            write.en.eq(self.words.valid),
            visit.eq(scanning & queue.room),
            queue.reserve.eq(visit),
            read.addr.eq(at.word),
            read.en.eq(visit),
            self.valid.eq(queue.valid),
            self.plane.eq(queue.o),
            queue.pop.eq(self.pop),
            self.idle.eq(~scanning & queue.idle),
        ]
        m.d.sync += last_word.eq(self.n_words - 1)
        with m.If(self.start):
            m.d.sync += [
                scanning.eq(self.n_words != 0),
                at.word.eq(0),
                is_last_word.eq(last_word == 0),
                at.t.eq(self.t),
                bit.eq(bit_of_step(self.bits, self.t)),
            ]
        with m.Elif(visit):
            m.d.sync += [at.word.eq(at.word + 1), is_last_word.eq(at.word + 1 == last_word)]
            with m.If(is_last_word):
                m.d.sync += [
                    at.word.eq(0),
                    is_last_word.eq(last_word == 0),
                    at.t.eq(at.t + 1),
                    bit.eq(bit - 1),
                ]
                with m.If(is_last_plane):
                    m.d.sync += scanning.eq(0)

        # Read, take the word out of the memory, take the plane out of the word.
        fetch_v = Signal()
        word_v = Signal()
        plane_v = Signal()
        fetch_at = Signal.like(at, reset_less=True)
        word_t = Signal.like(at.t, reset_less=True)
        fetch_bit = Signal.like(bit, reset_less=True)
        word_bit = Signal.like(bit, reset_less=True)
        word = Signal(activation_word(params), reset_less=True)
        plane = Signal(data.StructLayout({"t": T_WIDTH, "lanes": params.lanes}), reset_less=True)
        m.d.sync += [fetch_v.eq(visit), word_v.eq(fetch_v), plane_v.eq(word_v)]
        with m.If(visit):
            m.d.sync += [fetch_at.eq(at), fetch_bit.eq(bit)]
        with m.If(fetch_v):
            m.d.sync += [word_t.eq(fetch_at.t), word_bit.eq(fetch_bit), word.eq(read.data)]
        with m.If(word_v):
            m.d.sync += [
                plane.t.eq(word_t),
                plane.lanes.eq(Cat(lane.bit_select(word_bit, 1) for lane in word)),
            ]
        m.d.comb += [
            self.fire_enable.eq(fetch_v),
            self.fire_address.eq(fetch_at.word),
            queue.i.fire.eq(self.fire),
            queue.i.t.eq(plane.t),
            queue.i.lanes.eq(plane.lanes),
            queue.push.eq(plane_v & plane.lanes.any()),
            queue.cancel.eq(plane_v & ~plane.lanes.any()),
        ]
        self._count(m, plane_v, plane.lanes)
        return m

    def _count(self, m, plane_v, lanes):
        """``fired``, in two steps."""
        count_v = Signal()
        counts = []
        m.d.sync += count_v.eq(plane_v)
        for first in range(0, self._params.lanes, _COUNT_LANES):
            counts.append(Signal(range(_COUNT_LANES + 1), name=f"count_{first}", reset_less=True))
            with m.If(plane_v):
                m.d.sync += counts[-1].eq(sum(lanes[first : first + _COUNT_LANES]))
        with m.If(count_v):
            m.d.sync += self.fired.eq(sum(counts))
        with m.Else():
            m.d.sync += self.fired.eq(0)
