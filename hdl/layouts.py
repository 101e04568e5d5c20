# SPDX-License-Identifier: Apache-2.0
"""Amaranth layouts and interfaces, made from golden's bit fields."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.fields import COMMAND, Formats
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, CHUNK_WIDTH


def struct(fields: BitFields) -> data.StructLayout:
    """The layout whose fields lie where ``fields`` says."""
    return data.StructLayout(dict(fields.widths))


def flit_stream(params: ChipParams) -> stream.Signature:
    """Flits between routers, and between a router and its core."""
    return stream.Signature(struct(Formats(params).flit))


def spike_stream(params: ChipParams) -> stream.Signature:
    """Spikes on their way into a core."""
    return stream.Signature(struct(Formats(params).spike))


class Interface(wiring.Signature):
    """A signature that equals any other of its class with the same members."""

    def __eq__(self, other):
        return type(self) is type(other) and self.members == other.members

    __hash__ = None  # members are compared, and may be large


class ConfigBus(Interface):
    """Configuration of the memories of one core, driven by the configuration unit.

    ``write`` announces that ``chunk`` of word ``address`` of ``memory`` becomes ``data``; address
    and data come in the cycle after it, so that what enables a memory is a register beside it.
    ``read`` fetches the same chunk: every block answers on its own wire, from the fourth cycle
    after ``read`` on, while ``address`` stays. While the core runs, only CONTROL is read, and only
    commands are written; the configuration unit sees to that. ``commands`` are strobes, together
    with the ``write`` of the register COMMAND: what comes behind a command finds it done.
    """

    def __init__(self):
        super().__init__(
            {
                "memory": Out(4),
                "address": Out(16),
                "chunk": Out(5),
                "data": Out(CHUNK_WIDTH),
                "write": Out(1),
                "commands": Out(struct(COMMAND)),
                "read": Out(1),
            }
        )


def operation(params: ChipParams) -> data.StructLayout:
    """One step of a loop nest, from axon-in to dendrite: add a weight word to an accumulator word.

    ``n_lanes`` is the number of neurons in the word, less one (for the SOP counter).
    """
    return data.StructLayout(
        {
            "acc": params.acc_address_width,
            "weight": params.weight_address_width,
            "shift": params.shift_width,
            "negate": 1,
            "n_lanes": params.lane_width,
        }
    )


def neuron_constants(params: ChipParams) -> data.StructLayout:
    """Constants of the neuron model; one bit that nobody looks at where it has none.

    Verilog and proof tools know no wires without width.
    """
    fields = Formats(params).integration
    return struct(fields) if fields.width else data.StructLayout({"none": 1})


def activation_word(params: ChipParams) -> data.ArrayLayout:
    """Finished activations of the lanes of one word."""
    return data.ArrayLayout(ACTIVATION_WIDTH, params.lanes)
