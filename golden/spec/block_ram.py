# SPDX-License-Identifier: Apache-2.0
"""Block memories of FPGAs that a node takes, and how much of them it leaves unused.

The block memories of ECP5 (DP16KD), of Xilinx' 7 series and UltraScale+ (half a RAMB36) and of
Gowin (BSRAM) have one geometry: 18 Kbit, read and written in words of 1 to 36 bits.
Standard library only.
"""

from dataclasses import dataclass

from .codec import WORD_BYTES, CodecParams
from .fields import Formats, Memory
from .params import ChipParams
from .widths import ACTIVATION_WIDTH, CHUNK_WIDTH

# Words and bits of a word that one block can have. Parity bits are there from 9 bits on.
SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
BLOCK_BITS = 18 * 1024
BYTE_BITS = 9  # that a write enable is for
# UltraRAM of UltraScale+: one shape.
ULTRA_SHAPES = ((4096, 72),)
# A memory of so few words lies in lookup tables: one block would be filled to 3 % at most.
MAX_LUT_WORDS = 16


@dataclass(frozen=True)
class NodeMemory:
    """A memory of a node.

    name : of the memory in the gateware, below ``node.core``
    words, width : words, and bits of a word
    parts : bits of the parts of a word that are written each by itself
    copies : memories like this one
    """

    name: str
    words: int
    parts: tuple[int, ...]
    copies: int = 1

    @property
    def width(self) -> int:
        """Bits of a word."""
        return sum(self.parts)

    @property
    def bits(self) -> int:
        """Bits of all copies."""
        return self.words * self.width * self.copies

    def blocks(self, shapes: tuple[tuple[int, int], ...] = SHAPES) -> int:
        """Block memories that it takes, in the shape of which it takes least; 0: lookup tables."""
        return self.copies * _blocks(self.words, self.parts, shapes)

    def free_words(self, shapes: tuple[tuple[int, int], ...] = SHAPES) -> int:
        """Words that it could have more without another block."""
        used = _blocks(self.words, self.parts, shapes)
        if not used:
            return 0
        words = {-(-self.words // depth) * depth for depth, _ in shapes}
        most = max(n for n in words if _blocks(n, self.parts, shapes) <= used)
        return most - self.words


def _blocks(words: int, parts: tuple[int, ...], shapes: tuple[tuple[int, int], ...]) -> int:
    if words <= MAX_LUT_WORDS:
        return 0
    return min(-(-words // depth) * _columns(parts, width) for depth, width in shapes)


def _columns(parts: tuple[int, ...], width: int) -> int:
    """Blocks of ``width`` bits side by side; where they have bytes, each is written by itself."""
    if width < BYTE_BITS:
        return sum(-(-part // width) for part in parts)
    return -(-sum(-(-part // BYTE_BITS) for part in parts) // (width // BYTE_BITS))


WEIGHTS = "dendrite.weights"
_NAMES = {
    Memory.AXON: "axon_in.axon",
    Memory.TABLE_C: "axon_in.table_c",
    Memory.TABLE_Y: "axon_in.table_y",
    Memory.TABLE_X: "axon_in.table_x",
    Memory.WEIGHT: WEIGHTS,
    Memory.UPDATE: "soma.update_pass",
    Memory.REQUANT: "soma.requant",
    Memory.LOOKUP: "soma.requantize.lookup",
    Memory.FIRE: "axon_out.fire_table",
    Memory.DESTINATION: "axon_out.destinations",
}


def node_memories(params: ChipParams) -> tuple[NodeMemory, ...]:
    """The memories of a node, but for those of a neuron model's own and queues of a few words."""
    formats = Formats(params)
    found = []
    for memory, name in _NAMES.items():
        _, words = formats.memory(memory)
        whole, rest = divmod(formats.word_width(memory), CHUNK_WIDTH)
        parts = (CHUNK_WIDTH,) * whole + ((rest,) if rest else ())
        copies = params.soma_lanes if memory is Memory.LOOKUP else 1
        found.append(NodeMemory(name, words, parts, copies))
    return (
        *found,
        NodeMemory("spikes", params.n_spikes, (formats.spike.width,)),
        NodeMemory("dendrite.loop", params.n_acc_words, (params.lanes * params.acc_width,)),
        NodeMemory(
            "axon_out.scan.activations", params.n_fire_words, (params.lanes * ACTIVATION_WIDTH,)
        ),
    )


def node_blocks(params: ChipParams) -> int:
    """Blocks of 18 Kbit that a node takes."""
    return sum(memory.blocks() for memory in node_memories(params))


def codec_blocks(codec: CodecParams | None) -> int:
    """Blocks of 18 Kbit that the spike codec takes; its tables lie in lookup tables."""
    if codec is None:
        return 0
    sizes = (codec.n_values, codec.n_outputs)
    return sum(
        NodeMemory("codec", size // WORD_BYTES, (8 * WORD_BYTES,)).blocks() for size in sizes
    )
