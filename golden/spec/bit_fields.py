# SPDX-License-Identifier: Apache-2.0
"""Named fields of a word, packed and unpacked.

Standard library only: ``pack`` and ``unpack`` work on Python integers, and on numpy integer arrays
because they use operators alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Word = TypeVar("Word")  # an integer, or an integer array


@dataclass(frozen=True)
class BitFields:
    """Named unsigned fields packed from bit 0 upward."""

    name: str
    widths: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        """Bits in all."""
        return sum(width for _, width in self.widths)

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        """Yields ``(field, lowest bit, width)``."""
        position = 0
        for field, width in self.widths:
            yield field, position, width
            position += width

    def pack(self, **values: Word) -> Word:
        """One integer (or integer array) from a value for every field.

        Raises ``ValueError`` for an unknown or missing field, or a value that does not fit.
        """
        names = [field for field, _ in self.widths]
        if sorted(values) != sorted(names):
            raise ValueError(f"{self.name}: fields must be {names}, got {sorted(values)}")
        word: Any = 0
        value: Any
        for field, position, width in self:
            value = values[field]
            low, high = (value.min(), value.max()) if getattr(value, "size", 0) else (value, value)
            if getattr(value, "size", 1) and (low < 0 or high >> width):
                raise ValueError(
                    f"{self.name}.{field}: must fit in {width} unsigned bits, got {low}..{high}"
                )
            word = word | (value << position)
        packed: Word = word
        return packed

    def unpack(self, word: Word) -> dict[str, Word]:
        """Every field of an integer (or integer array)."""
        bits: Any = word
        return {field: (bits >> position) & ((1 << width) - 1) for field, position, width in self}
