# SPDX-License-Identifier: Apache-2.0
"""Errors that cores have seen, in words: from the alerts and registers that the host receives."""

from collections.abc import Sequence
from dataclasses import dataclass

from stemcore.golden.spec.errors import ERROR_COUNT_WIDTH, MEANINGS, Error
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.routing import Node
from stemcore.golden.spec.widths import CHUNK_WIDTH

from ..errors import EngineError

ALL_COUNTED = (1 << ERROR_COUNT_WIDTH) - 1  # stands for any more


@dataclass(frozen=True)
class CoreErrors:
    """What one core says of its errors.

    node : where it is
    causes : kinds of errors since they were cleared
    count : errors; ``ALL_COUNTED`` or more are that many
    """

    node: Node
    causes: tuple[Error, ...]
    count: int

    def __str__(self) -> str:
        more = " or more" if self.count == ALL_COUNTED else ""
        plural = "" if self.count == 1 else "s"
        causes = "; ".join(MEANINGS[error] for error in self.causes)
        return f"node {self.node}: {self.count}{more} error{plural}: {causes}"


def core_errors(formats: Formats, word: int) -> CoreErrors:
    """A word of the register ERRORS, or of an alert."""
    fields = formats.errors.unpack(word)
    causes = tuple(error for error in Error if fields[error.name.lower()])
    return CoreErrors((fields["x"], fields["y"]), causes, fields["count"])


def first_flit(low: int, high: int) -> int:
    """The flit of the registers ERROR_FLIT_LOW and ERROR_FLIT_HIGH."""
    return low | high << CHUNK_WIDTH


def describe_flit(formats: Formats, flit: int) -> str:
    """A flit in words: what it is, and the nodes that it is for."""
    fields = formats.flit.unpack(flit)
    kind = fields["kind"]
    name = Kind(kind).name
    if kind == Kind.SPIKE:
        spike = formats.spike.unpack(fields["payload"] & ((1 << formats.spike.width) - 1))
        name += " (" + ", ".join(f"{field} {value}" for field, value in spike.items()) + ")"
    first, last = (fields["x0"], fields["y0"]), (fields["x1"], fields["y1"])
    nodes = f"node {first}" if first == last else f"nodes {first} to {last}"
    return f"{name} for {nodes}"


def report(formats: Formats, alerts: Sequence[int]) -> str:
    """A line for each core that has sent an alert."""
    return "\n".join(f"  {core_errors(formats, word)}" for word in alerts)


def check(name: str, formats: Formats, alerts: Sequence[int]) -> None:
    """Raises :class:`EngineError` if any core of the program ``name`` has sent an alert."""
    if alerts:
        raise EngineError(
            f"{name}: cores must see no error of the protocol; {len(alerts)} did. A memory image, "
            f"the host or the gateware is wrong: run the engine 'program' to find out\n"
            f"{report(formats, alerts)}"
        )
