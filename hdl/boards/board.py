# SPDX-License-Identifier: Apache-2.0
"""What a board is, and which there are: every module beside this one that defines ``BOARD``."""

import importlib
import pkgutil
from dataclasses import dataclass

FAMILIES = ("ecp5",)
DEFAULT = "ecp5_85f"


@dataclass(frozen=True)
class Board:
    """An FPGA on a board, as the tools want it named.

    name : the word on the command line: that of its file
    title : maker and name of the board, for people
    device : part, package and speed grade, for people
    family : one of ``FAMILIES``: which tools synthesise, place and route for it
    place_flags : what the place-and-route tool of the family is told about the part
    presets : sizes of a node (``stemcore.golden.spec.params``) that fit the part; measured by
        default
    """

    name: str
    title: str
    device: str
    family: str
    place_flags: tuple[str, ...]
    presets: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"board {self.name}: family must be one of {', '.join(FAMILIES)}, "
                f"got {self.family!r}"
            )


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
