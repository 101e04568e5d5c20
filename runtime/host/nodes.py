# SPDX-License-Identifier: Apache-2.0
"""Nodes that a user names."""

from collections.abc import Iterable

from stemcore.golden.program.program import Program
from stemcore.golden.spec.routing import Node


def check_nodes(program: Program, nodes: Iterable[Node], what: str) -> None:
    """Raises ``ValueError`` for the first node outside the mesh; ``what`` names the option."""
    for x, y in nodes:
        if not (0 <= x < program.columns and 1 <= y <= program.rows):
            raise ValueError(
                f"{what}: a node must lie in columns 0 to {program.columns - 1} and rows 1 to "
                f"{program.rows}, got ({x}, {y})"
            )
