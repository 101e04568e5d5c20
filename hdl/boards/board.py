# SPDX-License-Identifier: Apache-2.0
"""What a board is, and which there are: every module beside this one that defines ``BOARD``."""

import importlib
import pkgutil
from dataclasses import dataclass

from stemcore.golden.spec.block_ram import (
    ULTRA_SHAPES,
    WEIGHTS,
    codec_blocks,
    node_blocks,
    node_memories,
)
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.params import ChipParams

ECP5, XILINX = "ecp5", "xilinx"
FAMILIES = (ECP5, XILINX)
DEFAULT = "ecp5_85f"


@dataclass(frozen=True)
class Board:
    """An FPGA on a board, as the tools want it named.

    name : the word on the command line: that of its file
    title : maker and name of the board, for people
    device : part, package and speed grade, for people
    family : one of ``FAMILIES``: which tools synthesise, place and route for it
    place_flags : options of the family's place-and-route tool for the part; of Xilinx,
        which has no such tool here, nothing
    presets : sizes of a node (``stemcore.golden.spec.params``) that fit the part; measured by
        default
    platform : ``module:class`` of amaranth-boards, which knows the pins; none: the part alone
    blocks : block memories of 18 Kbit that the part has; with a platform
    clock_mhz : of the chip, where nothing else is asked for; with a platform
    loader : command that loads a bitstream, whose file is its last word; with a platform
    part : as the vendor's tool names it; of Xilinx
    synthesis : options of ``synth_xilinx`` of Yosys for the part; of Xilinx
    ultra_blocks : UltraRAMs, which take the weights where there are any
    """

    name: str
    title: str
    device: str
    family: str
    place_flags: tuple[str, ...]
    presets: tuple[str, ...]
    platform: str = ""
    blocks: int = 0
    clock_mhz: float = 0.0
    loader: str = ""
    part: str = ""
    synthesis: str = ""
    ultra_blocks: int = 0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"board {self.name}: family must be one of {', '.join(FAMILIES)}, "
                f"got {self.family!r}"
            )
        if (self.family == XILINX) != bool(self.part and self.synthesis):
            raise ValueError(
                f"board {self.name}: part and synthesis must be there for family {XILINX} alone, "
                f"got {self.part!r} and {self.synthesis!r} for {self.family}"
            )
        if self.is_buildable and not (self.blocks > 0 and self.clock_mhz > 0):
            raise ValueError(
                f"board {self.name}: with pins, blocks and clock_mhz must be above 0, "
                f"got {self.blocks} and {self.clock_mhz}"
            )

    def max_nodes(self, params: ChipParams, codec: CodecParams | None = None) -> int:
        """Nodes whose memories the part holds, beside those of its host side and its codec."""
        blocks, room = node_blocks(params), self.blocks - HOST_BLOCKS - codec_blocks(codec)
        if not self.ultra_blocks:
            return room // blocks
        (weights,) = (m for m in node_memories(params) if m.name == WEIGHTS)
        return min(
            room // (blocks - weights.blocks()), self.ultra_blocks // weights.blocks(ULTRA_SHAPES)
        )

    @property
    def is_buildable(self) -> bool:
        """Whether more than the part is known: pins, or the system that the chip belongs to."""
        return bool(self.platform) or self.family == XILINX


HOST_MHZ = 25.0  # clock of the host side: a serial line needs no more
HOST_BLOCKS = 4  # that the serial line's queues take at most


def boards() -> dict[str, Board]:
    """All boards by name, in alphabetical order.

    Raises ``ValueError`` for a file whose board has another name than the file.
    """
    package = importlib.import_module(__package__ or "")
    found = {}
    for entry in pkgutil.iter_modules(package.__path__):
        board = getattr(importlib.import_module(f"{package.__name__}.{entry.name}"), "BOARD", None)
        if board is None:
            continue
        if board.name != entry.name:
            raise ValueError(
                f"board {board.name}: its file must be {board.name}.py, got {entry.name}.py"
            )
        found[board.name] = board
    return dict(sorted(found.items()))


def get_board(name: str) -> Board:
    """The board of a name; ``ValueError`` lists the names there are."""
    found = boards()
    if name not in found:
        raise ValueError(f"board: must be one of {', '.join(found)}; got {name!r}")
    return found[name]
