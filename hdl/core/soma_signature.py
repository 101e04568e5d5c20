# SPDX-License-Identifier: Apache-2.0
"""What a soma is to the rest of a core: words in, words out, commands and configuration."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth import signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import BITS_WIDTH, CHUNK_WIDTH

from ..layouts import ConfigBus, Interface, activation_word, neuron_constants, struct


class AccumulatorPort(Interface):
    """The dendrite's accumulators, as a soma sees them: read a word, zero a word.

    Members
    -------
    read, address : ``Out``
        Fetches a word.
    data : ``In``
        The word: valid three cycles after ``read``, and until two cycles after the next one.
    clear, clear_address : ``Out``
        Zeroes a word. Never earlier than the cycle after it was read.
    """

    def __init__(self, params: ChipParams):
        super().__init__(
            {
                "read": Out(1),
                "address": Out(params.acc_address_width),
                "data": In(data.ArrayLayout(signed(params.acc_width), params.lanes)),
                "clear": Out(1),
                "clear_address": Out(params.acc_address_width),
            }
        )


class ActivationPort(Interface):
    """Activation words to be stored.

    Members
    -------
    valid, address, word : ``Out``
        A word, offered for one cycle.
    """

    def __init__(self, params: ChipParams):
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(params.fire_address_width),
                "word": Out(activation_word(params)),
            }
        )


class SomaSignature(Interface):
    """A soma: at the end of a token period it updates neurons, at that of a sample it fires them.

    An **update pass** goes through the first ``n_update`` entries of its update pass table in
    order. It reads the accumulator words that they name, updates the neurons by the period's sums,
    and zeroes the words that are marked. In a sample's last period it also writes activation words,
    counted from 0 in each pass. What the entries mean otherwise, what state is kept and what the
    constants are is the neuron model's business; the core wires any component with this signature.

    Members
    -------
    config : ``In(ConfigBus())``
        Writes the soma's own memories: UPDATE, REQUANT and LOOKUP.
    read_chunk : ``Out(32)``
        Their answer, from the third cycle after ``config.read`` on.
    start, clear_all : ``In(1)``
        Begin an update pass; begin to zero all accumulator words. Only while not busy, and while
        the dendrite is idle. After a reset, or after memories were written, words are zeroed first:
        the soma fetches meanwhile what its passes begin with.
    busy : ``Out(1)``
        From the cycle after a command until all activation words, or zeros, have been written. A
        pass of no entries is busy for a cycle.
    n_update : ``In``
        Entries of an update pass; constant as ``mode`` is.
    mode : ``In``
        Fields ``mode``; constant from two cycles before an update pass until its end.
    constants : ``In``
        ``neuron_constants(params)``; constant as ``mode`` is.
    period : ``In``
        Token period of the sample that the update pass ends, from 0; always 0 where the period is
        the sample. Constant as ``mode`` is.
    is_last_period : ``In(1)``
        Whether it is the sample's last. Constant as ``mode`` is.
    accumulators : ``Out(AccumulatorPort(params))``
        Words in, and their clearing.
    words : ``Out(ActivationPort(params))``
        Words out.
    """

    def __init__(self, params: ChipParams):
        formats = Formats(params)
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "start": In(1),
                "clear_all": In(1),
                "busy": Out(1),
                "n_update": In(params.update_address_width + 1),
                "mode": In(struct(formats.mode)),
                "constants": In(neuron_constants(params)),
                "period": In(BITS_WIDTH),
                "is_last_period": In(1),
                "accumulators": Out(AccumulatorPort(params)),
                "words": Out(ActivationPort(params)),
            }
        )


@dataclass(frozen=True)
class SomaKind:
    """A neuron model's name, and what makes its soma: a component with a :class:`SomaSignature`."""

    name: str
    build: Callable[[ChipParams], wiring.Component]
