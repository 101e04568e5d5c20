# SPDX-License-Identifier: Apache-2.0
"""The stage of the soma that a neuron model is made of: sums in, potentials out."""

from abc import abstractmethod

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import BITS_WIDTH, STEP_WIDTH

from ..layouts import Interface, neuron_constants

TAIL = 4  # last stages: V out of its memory, a register, the sum, saturation


def group_layout(params: ChipParams) -> data.ArrayLayout:
    """Sums or potentials of ``soma_lanes`` lanes."""
    return data.ArrayLayout(signed(params.acc_width), params.soma_lanes)


class UpdateSignature(Interface):
    """Updates potentials at the end of a token period, a group of lanes a cycle, without stalls.

    A group enters with ``i_valid`` and leaves with ``o_valid``, ``update_latency`` cycles of the
    neuron model later (:class:`~stemcore.golden.spec.neuron_model.NeuronModel`), updated as the
    model's equation says. The group at an address may come again, but no earlier than the latency
    after it was stored.

    Members
    -------
    constants : ``In``
        ``neuron_constants(params)``.
    period : ``In``
        Token period of the sample, from 0. Both constant from two cycles before a group enters
        until the last one has left.
    i_valid, i : ``In``
        Sums of a group. Registers should drive them.
    address : ``In``
        Which group, with ``i_valid``.
    store : ``In(1)``
        With ``i_valid``: the state is kept; else it is only looked at.
    o_valid, o : ``Out``
        Potentials after the update.
    """

    def __init__(self, params: ChipParams):
        super().__init__(
            {
                "constants": In(neuron_constants(params)),
                "period": In(BITS_WIDTH),
                "i_valid": In(1),
                "i": In(group_layout(params)),
                "address": In(range(params.n_acc_words * params.n_groups)),
                "store": In(1),
                "o_valid": Out(1),
                "o": Out(group_layout(params)),
            }
        )


class NoUpdate(wiring.Component):
    """The sum is the potential: no state, no cycle."""

    def __init__(self, params: ChipParams):
        super().__init__(UpdateSignature(params))

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.o_valid.eq(self.i_valid), self.o.eq(self.i)]
        return m


class PotentialUpdate(wiring.Component):
    """Keeps 16-bit potentials: ``V' = sat16((2 V if doubles else V) + term(I))``, V = 0 at first.

    A model says what ``doubles`` and what ``term`` is.

    Parameters
    ----------
    params : ChipParams
    """

    def __init__(self, params: ChipParams):
        self._params = params
        self._depth = params.n_acc_words * params.n_groups
        self._latency = params.model.update_latency(params.multipliers)
        super().__init__(UpdateSignature(params))

    @abstractmethod
    def doubles(self, m):
        """A value that says whether V doubles in this period, from a register a cycle behind
        ``period``; or a constant. Called before :meth:`term`."""

    @abstractmethod
    def term(self, m, lane, valid):
        """What a lane's sum adds, from registers ``latency - 2`` cycles after ``i``.

        ``valid[k]``: whether a group is in stage k; a stage's registers work only then.
        """

    def elaborate(self, platform):
        m = Module()
        latency = self._latency
        valid, store, address = [self.i_valid], [self.store], [self.address]
        for stage in range(1, latency + 1):
            valid.append(Signal(name=f"valid_{stage}"))
            store.append(Signal(name=f"store_{stage}", reset_less=True))
            address.append(Signal.like(self.address, name=f"address_{stage}", reset_less=True))
            m.d.sync += [
                valid[stage].eq(valid[stage - 1]),
                store[stage].eq(store[stage - 1]),
                address[stage].eq(address[stage - 1]),
            ]

        m.submodules.potentials = ram = RAM(
            shape=group_layout(self._params), depth=self._depth, init=[]
        )
        write, read = ram.write_port(), ram.read_port()
        # Read so late that the potentials need not travel along.
        at = latency - TAIL
        v = Signal(group_layout(self._params), reset_less=True)
        m.d.comb += [
            read.addr.eq(address[at]),
            read.en.eq(valid[at]),
            write.addr.eq(address[latency]),
            write.data.eq(self.o),
            write.en.eq(valid[latency] & store[latency]),
            self.o_valid.eq(valid[latency]),
        ]
        with m.If(valid[at + 1]):
            m.d.sync += v.eq(read.data)

        is_first = Signal(name="period_is_first", reset_less=True)
        m.d.sync += is_first.eq(self.period == 0)
        doubles = self.doubles(m)
        for lane in range(self._params.soma_lanes):
            term = self.term(m, lane, valid)
            before = Mux(is_first, 0, Mux(doubles, v[lane] << 1, v[lane]))
            total = Signal(signed(STEP_WIDTH + 3), name=f"total_{lane}", reset_less=True)
            with m.If(valid[latency - 2]):
                m.d.sync += total.eq(before + term)
            with m.If(valid[latency - 1]):
                m.d.sync += self.o[lane].eq(_saturate(total))
        return m


def _saturate(total):
    sign, outside = total[-1], total[STEP_WIDTH - 1 :]
    limit = Cat((~sign).replicate(STEP_WIDTH - 1), sign)
    return Mux(outside.any() & ~outside.all(), limit, total[:STEP_WIDTH]).as_signed()
