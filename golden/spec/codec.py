# SPDX-License-Identifier: Apache-2.0
"""The spike encoder and decoder between a bus and a chip: sizes, memories, words of the stream.

Beside the port the codec makes the flits of a sample from its bytes, and bytes from the spikes of
the output layers, so that a host sends and takes a byte a neuron in the place of a flit a spike.
It keeps the host's rules of tokens (:mod:`.tokens`) meanwhile.

Its memories are written and read back like those of a core, by ADDRESS, WRITE and READ flits to the
host's own place :data:`.routing.HOST`. While it works (register CODEC), END on the stream is the
header of a sample, in either direction: so many words of 8 bytes follow as hold its values, the
first in the lowest byte of the first word. All other flits pass as ever. Standard library only.
"""

from dataclasses import dataclass
from enum import IntEnum

from .bit_fields import BitFields
from .fields import Formats
from .params import ChipParams
from .widths import ACTIVATION_WIDTH, BITS_WIDTH, CHUNK_WIDTH, bits_for

WORD_BYTES = 8  # values of a sample in a word of the stream
MAX_STEPS = ACTIVATION_WIDTH  # a value is a byte


class CodecMemory(IntEnum):
    """Memories of the codec, as the configuration pointer numbers them."""

    CONTROL = 0  # the registers of CodecRegister
    ROUTE = 1  # where the spikes of which values go: ``CodecFormats.route``
    TOKEN = 2  # rectangles of END, then those of CREDIT: ``Formats.rectangle``
    OUTPUT = 3  # places of the spikes of each output population: ``CodecFormats.output``


class CodecRegister(IntEnum):
    """Words of ``CodecMemory.CONTROL``; fields are those of ``CodecFormats.registers``."""

    SAMPLE = 0
    TOKENS = 1
    SOURCE = 2
    SINK = 3
    RESULT = 4


@dataclass(frozen=True)
class CodecParams:
    """Sizes of the memories, powers of two.

    Attributes
    ----------
    n_values : int
        Bytes of a sample.
    n_outputs : int
        Bytes of a sample that comes out.
    n_routes, n_tokens, n_populations : int
        Words of ROUTE, TOKEN and OUTPUT.
    """

    n_values: int = 8192
    n_outputs: int = 8192
    n_routes: int = 16
    n_tokens: int = 16
    n_populations: int = 4

    def __post_init__(self) -> None:
        for name, low, high in (
            ("n_values", WORD_BYTES, 1 << 15),
            ("n_outputs", WORD_BYTES, 1 << 15),
            ("n_routes", 2, 256),
            ("n_tokens", 2, 256),
            ("n_populations", 2, 256),
        ):
            value = getattr(self, name)
            if not low <= value <= high or value & (value - 1):
                raise ValueError(
                    f"CodecParams.{name}: must be a power of two in {low}..{high}, got {value}"
                )

    @property
    def value_width(self) -> int:
        """Bits of the place of a value in a sample."""
        return bits_for(self.n_values)

    @property
    def output_width(self) -> int:
        """Bits of the place of a byte in a sample that comes out."""
        return bits_for(self.n_outputs)


@dataclass(frozen=True)
class CodecFormats:
    """Bit fields of the codec's memories, beside a chip with parameters ``params``."""

    params: ChipParams
    codec: CodecParams

    @property
    def route(self) -> BitFields:
        """A box of values, and the nodes and the axon that their spikes go to.

        ``c0..c1`` by ``y0..y1`` by ``x0..x1``, both ends included, of a population of ``bits``
        bits. ``base`` is the place of the first value; ``next_row`` and ``next_channel`` are added
        to the place of the last value of a row, and of the last one of a channel.
        """
        p, place = self.params, self.codec.value_width
        box = tuple(
            (f"{axis}{end}", width)
            for axis, width in (("c", p.c_width), ("y", p.y_width), ("x", p.x_width))
            for end in (0, 1)
        )
        nodes = tuple((f"node_{name}", width) for name, width in Formats(p).rectangle.widths)
        places = tuple((name, place) for name in ("base", "next_row", "next_channel"))
        return BitFields(
            "route", (*nodes, ("axon", p.axon_width), ("bits", BITS_WIDTH), *box, *places)
        )

    @property
    def token(self) -> BitFields:
        """Nodes that a token goes to."""
        return Formats(self.params).rectangle

    @property
    def output(self) -> BitFields:
        """Where the bytes of a population lie.

        Neuron (c, y, x) has byte ``base + c * channel + y * row + x``; ``c``, ``y``, ``x`` are the
        largest coordinates. A spike of time step t sets bit ``bits - 1 - t``.
        """
        p, place = self.params, self.codec.output_width
        return BitFields(
            "output",
            (
                *((name, place) for name in ("base", "channel", "row")),
                ("bits", BITS_WIDTH),
                ("c", p.c_width),
                ("y", p.y_width),
                ("x", p.x_width),
            ),
        )

    @property
    def registers(self) -> dict[CodecRegister, BitFields]:
        """Fields of the words of CONTROL.

        SAMPLE: ``words`` of the stream for a sample, its time ``steps``, how many of them are a
        token ``period``, and how many ``routes`` there are. TOKENS: ENDs of a period that go in
        (``ends``), and ``credits`` for a period that has come out. SOURCE: ``credits`` that permit
        a period to go in. SINK: ``ends`` that complete a ``period`` that comes out, and
        ``periods`` of a sample. RESULT: ``words`` of the stream for a sample that comes out;
        ``by_axon``: a spike's axon is the number of its population, else there is one.
        """
        c, tokens = self.codec, self.params.token_width
        return {
            CodecRegister.SAMPLE: BitFields(
                "sample",
                (
                    ("words", bits_for(c.n_values // WORD_BYTES + 1)),
                    ("steps", BITS_WIDTH),
                    ("period", BITS_WIDTH),
                    ("routes", bits_for(c.n_routes + 1)),
                ),
            ),
            CodecRegister.TOKENS: BitFields(
                "tokens",
                (("ends", bits_for(c.n_tokens + 1)), ("credits", bits_for(c.n_tokens + 1))),
            ),
            CodecRegister.SOURCE: BitFields("source", (("credits", tokens),)),
            CodecRegister.SINK: BitFields("sink", (("ends", tokens), ("periods", BITS_WIDTH))),
            CodecRegister.RESULT: BitFields(
                "result", (("words", bits_for(c.n_outputs // WORD_BYTES + 1)), ("by_axon", 1))
            ),
        }

    def memory(self, memory: CodecMemory) -> tuple[BitFields | None, int]:
        """Word format and depth of a memory. CONTROL has 32-bit words (``None``)."""
        return {
            CodecMemory.CONTROL: (None, len(CodecRegister)),
            CodecMemory.ROUTE: (self.route, self.codec.n_routes),
            CodecMemory.TOKEN: (self.token, self.codec.n_tokens),
            CodecMemory.OUTPUT: (self.output, self.codec.n_populations),
        }[memory]

    def n_chunks(self, memory: CodecMemory) -> int:
        """32-bit chunks of a word; chunk 0 holds bits 0..31."""
        layout, _ = self.memory(memory)
        return 1 if layout is None else -(-layout.width // CHUNK_WIDTH)
