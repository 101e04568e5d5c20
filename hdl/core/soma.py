# SPDX-License-Identifier: Apache-2.0
"""The soma: finishes a sample, accumulator words in, activation words out."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import CHUNK_WIDTH, ChipParams

from ..layouts import ConfigBus, activation_word, struct
from .integrate import Integrate, update_latency
from .memory import ConfigMemory, pick
from .requantize import Requantize


class Soma(wiring.Component):
    """Update passes the accumulators: requantize, table, max pooling; clears them behind it.

    An update pass takes the first ``n_update`` entries of the update pass table in order. Each
    names an accumulator word, which is read, and requantized in ``n_groups`` cycles, ``soma_lanes``
    lanes a cycle, while the next one is fetched. A pooling window takes the larger of what it holds
    and what comes; its last entry writes the window as the next activation word, counted from 0 in
    each update pass. The arithmetic is that of :class:`Requantize`, ``latency`` cycles deep.

    Cycles, from the command (not counted) to the last cycle of ``busy``:

    ========== ==================================================
    update pass      ``n_groups * n_update + latency + 5``; 1 if ``n_update`` is 0
    clear_all  ``n_acc_words``
    ========== ==================================================

    Where integration is per time step (``params.is_stepped``), the accumulators hold the sums of a
    step, and an update ends the step: every word passes :class:`Integrate` first, whose latency
    comes on top; the word's last reading, which clears it, keeps its potentials. Activation words
    come in the update pass of the last step alone.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    config : ``In(ConfigBus())``
        Writes the memories UPDATE, REQUANT and LOOKUP.
    read_chunk : ``Out(32)``
        Their answer, from the second cycle after ``config.read`` on.
    start, clear_all : ``In(1)``
        Begin an update pass; begin to zero all accumulator words. Only while not busy.
    busy : ``Out(1)``
        From the cycle after a command until all activation words, or zeros, have been written.
    n_update : ``In``
        Entries in an update pass.
    mode : ``In``
        Fields ``mode``; constant from two cycles before an update pass until its end.
    integration, step, is_last_step : ``In``
        Only if ``params.is_stepped``: fields ``integration``, the time step that the update pass
        ends, and whether it is the sample's last; constant as ``mode`` is.
    update_address, update_read : ``Out``
        Fetches an accumulator word.
    update_data : ``In``
        The word: valid two cycles after ``update_read``, and until the cycle after the next one.
    clear, clear_address : ``Out``
        Zeroes an accumulator word. Never earlier than the cycle after it was read.
    word_valid, word_address, word : ``Out``
        An activation word to be stored; it is offered for one cycle.
    """

    def __init__(self, params: ChipParams):
        formats = Formats(params)
        self._params = params
        of_steps = {
            "integration": In(struct(formats.integration)),
            "step": In(4),
            "is_last_step": In(1),
        }
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "start": In(1),
                "clear_all": In(1),
                "busy": Out(1),
                "n_update": In(params.update_address_width + 1),
                "mode": In(struct(formats.mode)),
                "update_address": Out(params.acc_address_width),
                "update_read": Out(1),
                "update_data": In(data.ArrayLayout(signed(params.acc_width), params.lanes)),
                "clear": Out(1),
                "clear_address": Out(params.acc_address_width),
                "word_valid": Out(1),
                "word_address": Out(params.fire_address_width),
                "word": Out(activation_word(params)),
                **(of_steps if params.is_stepped else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self._params
        m.submodules.update_pass = update_pass = ConfigMemory(params=params, memory=Memory.UPDATE)
        m.submodules.requant = requant = ConfigMemory(
            params=params, memory=Memory.REQUANT, registered=True
        )
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
        m.d.comb += start.eq(self.start & (self.n_update != 0))
        entry, is_last_entry, reading, running, group = self._sequence(m, update_pass, start)
        self._feed(m, requant, requantize, entry, reading, running, group)
        clear_done = self._clear(m, entry, reading)

        # What the end of the pipeline has to know of a group.
        current = Signal(data.StructLayout({"first": 1, "last": 1, "is_last_entry": 1}))
        is_last_group = Signal()
        m.d.comb += is_last_group.eq(running & (group == params.n_groups - 1))
        with m.If(reading):
            m.d.sync += current.eq(Cat(entry.first, entry.last, is_last_entry))
        depth = update_latency(params) + requantize.latency + 2
        is_last = current.last & is_last_group
        if params.is_stepped:
            is_last &= self.is_last_step
        self._pool(
            m,
            requantize,
            first=self._delay(m, current.first, depth, "first"),
            last=self._delay(m, is_last, depth, "last"),
        )
        done = self._delay(m, current.is_last_entry & is_last_group, depth + 1, "done")

        idle_start = Signal()  # an update pass of no entries
        m.d.sync += idle_start.eq(self.start & (self.n_update == 0))
        with m.If(self.start | self.clear_all):
            m.d.sync += self.busy.eq(1)
        with m.Elif(done | idle_start | clear_done):
            m.d.sync += self.busy.eq(0)
        return m

    @staticmethod
    def _delay(m, value, cycles, name):
        taps = Signal(cycles, name=f"delayed_{name}")
        m.d.sync += taps.eq(Cat(value, taps))
        return taps[-1]

    def _sequence(self, m, update_pass, start):
        """The schedule of an update pass.

        Returns the entry and whether it is the update pass's last; a strobe in the cycle its word
        is read; and, from the next cycle on, ``running`` while ``group`` counts its groups.
        """
        n_groups = self._params.n_groups
        index = Signal.like(self.n_update)  # entries fetched; 0 again after the last
        entry = Signal(struct(Formats(self._params).update_pass))
        is_last_entry, is_last, fetched, load = Signal(), Signal(), Signal(), Signal()
        reading, running, group = Signal(), Signal(), Signal(range(n_groups))
        m.d.comb += [
            # Early enough for the word to follow the last group of this one without a gap.
            load.eq(fetched & ~reading & (~running | (group == n_groups - 2))),
            is_last.eq(index == self.n_update),
            update_pass.address.eq(index),
            update_pass.enable.eq(start | load),
            self.update_read.eq(reading),
            self.update_address.eq(entry.acc),
        ]
        m.d.sync += reading.eq(load)
        with m.If(reading):
            m.d.sync += [running.eq(1), group.eq(0)]
        with m.Elif(running):
            m.d.sync += [running.eq(group != n_groups - 1), group.eq(group + 1)]
        with m.If(start):
            m.d.sync += [fetched.eq(1), index.eq(1)]
        with m.Elif(load):
            m.d.sync += [
                entry.eq(update_pass.data),
                is_last_entry.eq(is_last),
                fetched.eq(~is_last),
                index.eq(Mux(is_last, 0, index + 1)),
            ]
        return entry, is_last_entry, reading, running, group

    def _clear(self, m, entry, reading):
        """Zeroes the word of an entry one cycle after the read; or all words, counted up in the
        register that holds the entry's address otherwise. Returns a strobe with the last of all.
        """
        clear_all, clear_done = Signal(), Signal()
        m.d.comb += [
            clear_done.eq(clear_all & (entry.acc == self._params.n_acc_words - 1)),
            self.clear_address.eq(entry.acc),
        ]
        with m.If(self.clear_all):
            m.d.sync += [clear_all.eq(1), self.clear.eq(1), entry.acc.eq(0)]
        with m.Elif(clear_all):
            m.d.sync += [
                clear_all.eq(~clear_done),
                self.clear.eq(~clear_done),
                entry.acc.eq(entry.acc + 1),
            ]
        with m.Else():
            m.d.sync += self.clear.eq(reading & entry.clear)
        return clear_done

    def _feed(self, m, requant, requantize, entry, reading, running, group):
        """Hands the word to the pipeline, group by group, with the constants of its channels."""
        params = self._params
        base, selected, select = Signal.like(entry.block), Signal(), Signal.like(group)
        with m.If(reading):
            m.d.sync += base.eq(entry.block)
        constants, wanted = Cat(group, base), running
        z, z_valid = requantize.z, requantize.z_valid
        if params.is_stepped:
            update = self._integrate(m, requantize, entry, reading, selected, select)
            z, z_valid = update.i, update.i_valid
            constants = self._delay_word(m, constants, update.latency, "constants")
            wanted = self._delay(m, running & self.is_last_step, update.latency, "wanted")
        m.d.comb += [requant.address.eq(constants), requant.enable.eq(wanted)]
        m.d.sync += [selected.eq(running), select.eq(group), z_valid.eq(selected)]
        m.d.comb += requantize.constants.eq(requant.data)
        with m.If(selected):
            for lane, value in enumerate(z):
                lanes = list(self.update_data)[lane :: params.soma_lanes]
                m.d.sync += value.eq(pick(lanes, select))
        m.d.comb += requantize.mode.eq(self.mode)

    def _integrate(self, m, requantize, entry, reading, selected, select):
        """The update between accumulators and requantization; its groups are to be given to it."""
        m.submodules.integrate = update = Integrate(self._params)
        word, is_kept = Signal.like(entry.acc), Signal()
        with m.If(reading):
            m.d.sync += [word.eq(entry.acc), is_kept.eq(entry.clear)]
        # The word's groups are selected one cycle after they are counted.
        late_word, late_kept = Signal.like(word), Signal()
        m.d.sync += [late_word.eq(word), late_kept.eq(is_kept)]
        with m.If(selected):
            m.d.sync += [update.address.eq(Cat(select, late_word)), update.store.eq(late_kept)]
        m.d.comb += [
            update.integration.eq(self.integration),
            update.step.eq(self.step),
            requantize.z_valid.eq(update.o_valid & self.is_last_step),
            requantize.z.eq(update.o),
        ]
        return update

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
        m.d.sync += self.word_valid.eq(last)
        with m.If(requantize.q_valid):
            window = list(self.word)
            for lane, (old, new) in enumerate(zip(window[:n], requantize.q, strict=True)):
                # A flipped sign bit makes the comparison of signed values an unsigned one.
                keys = [Cat(v[:-1], v[-1] ^ self.mode.is_signed) for v in (old, new)]
                is_kept = Signal(name=f"is_kept_{lane}")
                m.d.comb += is_kept.eq(~first & (keys[0] > keys[1]))
                window.append(Mux(is_kept, old, new))
            m.d.sync += self.word.eq(Cat(window[n:]))
        with m.If(self.start):
            m.d.sync += self.word_address.eq(0)
        with m.Elif(self.word_valid):
            m.d.sync += self.word_address.eq(self.word_address + 1)
