# SPDX-License-Identifier: Apache-2.0
"""The soma of the neuron models so far: accumulator words in, activation words out."""

from collections.abc import Callable

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import connect

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.timing import soma_latency

from ..layouts import struct
from .memory import ConfigMemory, pick
from .requantize import Requantize
from .soma_signature import SomaSignature


class Soma(wiring.Component):
    """The soma of models whose last potential is requantized: requantize, table, max pooling.

    Each entry of an update pass names an accumulator word, which is read, and then updated and
    requantized in ``n_groups`` cycles, ``soma_lanes`` lanes a cycle, while the next one is fetched.
    The neuron model's update is a stage of its own (:class:`UpdateSignature`); a word's last
    reading, which clears it, keeps its state. Requantization (:class:`Requantize`) works in the
    update pass of a sample's last period alone. A pooling window takes the larger of what it holds
    and what comes; its last entry writes the window as the next activation word.

    Cycles, from the command (not counted) to the last cycle of ``busy``:

    =========== ========================================================
    update pass ``timing.update_cycles``; 1 if ``n_update`` is 0
    clear_all   ``n_acc_words``
    =========== ========================================================

    Parameters
    ----------
    params : ChipParams
    update : callable
        Makes the update stage, a component with an ``UpdateSignature``, from ``params``.

    Members: those of :class:`SomaSignature`.
    """

    def __init__(self, params: ChipParams, *, update: Callable[[ChipParams], wiring.Component]):
        self._params = params
        self._make_update = update
        super().__init__(SomaSignature(params))

    def elaborate(self, platform):
        m = Module()
        params = self._params
        update_pass, requant = (
            ConfigMemory(params=params, memory=memory, registered=True)
            for memory in (Memory.UPDATE, Memory.REQUANT)
        )
        m.submodules.update_pass = update_pass
        m.submodules.requant = requant
        m.submodules.requantize = requantize = Requantize(params)
        for block in (update_pass, requant, requantize):
            connect(m, wiring.flipped(self.config), block.config)
        asked = Signal.like(self.config.memory)
        with m.If(self.config.read):
            m.d.sync += asked.eq(self.config.memory)
        with m.Switch(asked):
            for memory, block in (
                (Memory.UPDATE, update_pass),
                (Memory.REQUANT, requant),
                (Memory.LOOKUP, requantize),
            ):
                with m.Case(memory.value):
                    m.d.comb += self.read_chunk.eq(block.read_chunk)

        start = Signal()
        # Of a register that keeps its value: a command is known late in a cycle.
        has_entries = Signal(reset_less=True)
        m.d.sync += has_entries.eq(self.n_update != 0)
        m.d.comb += start.eq(self.start & has_entries)
        entry, is_last_entry, reading, has_read, running, group = self._sequence(
            m, update_pass, start
        )
        self._feed(m, requant, requantize, entry, has_read, running, group)
        clear_done = self._clear(m, entry, reading)

        # What the end of the pipeline has to know of a group.
        current = Signal(data.StructLayout({"first": 1, "last": 1, "is_last_entry": 1}))
        is_last_group = Signal()
        m.d.comb += is_last_group.eq(running & (group == params.n_groups - 1))
        with m.If(has_read):
            m.d.sync += current.eq(Cat(entry.first, entry.last, is_last_entry))
        depth = soma_latency(params) + 2
        is_last = current.last & is_last_group & self.is_last_period
        self._pool(
            m,
            requantize,
            first=self._delay(m, current.first, depth, "first"),
            last=self._delay(m, is_last, depth, "last"),
        )
        done = self._delay(m, current.is_last_entry & is_last_group, depth + 1, "done")

        idle_start = Signal()  # an update pass of no entries
        m.d.sync += idle_start.eq(self.start & ~has_entries)
        with m.If(self.start | self.clear_all):
            m.d.sync += self.busy.eq(1)
        with m.Elif(done | idle_start | clear_done):
            m.d.sync += self.busy.eq(0)
        return m

    @staticmethod
    def _delay(m, value, cycles, name):
        if not cycles:
            return value
        taps = Signal(cycles, name=f"delayed_{name}")
        m.d.sync += taps.eq(Cat(value, taps))
        return taps[-1]

    def _sequence(self, m, update_pass, start):
        """The schedule of an update pass.

        Returns the entry and whether it is the update pass's last; a strobe in the cycle its word
        is read, and one in the cycle after, which is the last in which it is the entry; and, from
        the second cycle after it on, ``running`` while ``group`` counts its groups.
        """
        n_groups = self._params.n_groups
        index = Signal.like(self.n_update)  # entries fetched; 0 again after the last
        entry = Signal(struct(Formats(self._params).update_pass))
        is_last_entry = Signal()
        is_last = Signal()
        fetched = Signal()
        load = Signal()
        reading = Signal()
        has_read = Signal()
        counting = Signal()
        count = Signal(range(n_groups))
        running = Signal()
        group = Signal.like(count)
        # Nothing is counted, or so little is left that the next word follows without a gap. A
        # register, since the table may lie far away.
        is_near_end = Signal(init=1)
        m.d.comb += [
            load.eq(fetched & ~reading & is_near_end),
            is_last.eq(index == self.n_update),
            update_pass.address.eq(index),
            # The first entry is there before the command, which is known late in a cycle: it is
            # fetched as the accumulators are cleared, and behind the last one of each pass.
            update_pass.enable.eq((self.busy & ~fetched) | load),
            self.accumulators.read.eq(reading),
            self.accumulators.address.eq(entry.acc),
        ]
        m.d.sync += [
            reading.eq(load),
            has_read.eq(reading),
            running.eq(counting),
            group.eq(count),
        ]
        with m.If(reading):
            m.d.sync += [counting.eq(1), count.eq(0), is_near_end.eq(n_groups == 2)]
        with m.Elif(counting):
            m.d.sync += [
                counting.eq(count != n_groups - 1),
                count.eq(count + 1),
                is_near_end.eq((count == n_groups - 3) | (count == n_groups - 1)),
            ]
        # The command comes late in a cycle: it enables, and chooses little. An update pass begins
        # at index 0.
        with m.If(start | load):
            m.d.sync += [fetched.eq(start | ~is_last), index.eq(Mux(is_last, 0, index + 1))]
        with m.If(load):
            m.d.sync += [entry.eq(update_pass.data), is_last_entry.eq(is_last)]
        return entry, is_last_entry, reading, has_read, running, group

    def _clear(self, m, entry, reading):
        """Zeroes the word of an entry one cycle after the read; or all words, counted up in the
        register that holds the entry's address otherwise. Returns a strobe with the last of all.
        """
        clear_all = Signal()
        clear_done = Signal()
        m.d.comb += [
            clear_done.eq(clear_all & (entry.acc == self._params.n_acc_words - 1)),
            self.accumulators.clear_address.eq(entry.acc),
        ]
        with m.If(self.clear_all):
            m.d.sync += [clear_all.eq(1), self.accumulators.clear.eq(1), entry.acc.eq(0)]
        with m.Elif(clear_all):
            m.d.sync += [
                clear_all.eq(~clear_done),
                self.accumulators.clear.eq(~clear_done),
                entry.acc.eq(entry.acc + 1),
            ]
        with m.Else():
            m.d.sync += self.accumulators.clear.eq(reading & entry.clear)
        return clear_done

    def _feed(self, m, requant, requantize, entry, has_read, running, group):
        """Hands the word to the pipeline, group by group, with the constants of its channels."""
        params = self._params
        m.submodules.update = update = self._make_update(params)
        latency = params.model.update_latency(params.multipliers)
        base = Signal.like(entry.block)
        selected = Signal()
        select = Signal.like(group)
        with m.If(has_read):
            m.d.sync += base.eq(entry.block)
        m.d.sync += [selected.eq(running), select.eq(group), update.i_valid.eq(selected)]
        with m.If(selected):
            for lane, value in enumerate(update.i):
                lanes = list(self.accumulators.data)[lane :: params.soma_lanes]
                m.d.sync += value.eq(pick(lanes, select))
        if params.model.state:
            self._keep(m, update, entry, has_read, selected, select)
        m.d.comb += [
            update.constants.eq(self.constants),
            update.period.eq(self.period),
            requant.address.eq(self._delay_word(m, Cat(group, base), latency, "constants")),
            requant.enable.eq(self._delay(m, running & self.is_last_period, latency, "wanted")),
            requantize.z_valid.eq(update.o_valid & self.is_last_period),
            requantize.z.eq(update.o),
            requantize.constants.eq(requant.data),
            requantize.mode.eq(self.mode),
        ]

    @staticmethod
    def _keep(m, update, entry, has_read, selected, select):
        """Which neurons a group is, and whether this is their word's last reading."""
        word = Signal.like(entry.acc)
        is_kept = Signal()
        with m.If(has_read):
            m.d.sync += [word.eq(entry.acc), is_kept.eq(entry.clear)]
        # The word's groups are selected one cycle after they are counted.
        late_word = Signal.like(word)
        late_kept = Signal()
        m.d.sync += [late_word.eq(word), late_kept.eq(is_kept)]
        with m.If(selected):
            m.d.sync += [update.address.eq(Cat(select, late_word)), update.store.eq(late_kept)]

    @staticmethod
    def _delay_word(m, value, cycles, name):
        for stage in range(cycles):
            late = Signal.like(value, name=f"{name}_{stage + 1}", reset_less=True)
            m.d.sync += late.eq(value)
            value = late
        return value

    def _pool(self, m, requantize, *, first, last):
        """The pooling window: a shift register, a group long per step, that a word turns once."""
        n = self._params.soma_lanes
        m.d.sync += self.words.valid.eq(last)
        with m.If(requantize.q_valid):
            window = list(self.words.word)
            for lane, (old, new) in enumerate(zip(window[:n], requantize.q, strict=True)):
                # A flipped sign bit makes the comparison of signed values an unsigned one.
                keys = [Cat(v[:-1], v[-1] ^ self.mode.is_signed) for v in (old, new)]
                is_kept = Signal(name=f"is_kept_{lane}")
                m.d.comb += is_kept.eq(~first & (keys[0] > keys[1]))
                window.append(Mux(is_kept, old, new))
            m.d.sync += self.words.word.eq(Cat(window[n:]))
        with m.If(self.start):
            m.d.sync += self.words.address.eq(0)
        with m.Elif(self.words.valid):
            m.d.sync += self.words.address.eq(self.words.address + 1)
