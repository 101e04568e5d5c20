# SPDX-License-Identifier: Apache-2.0
"""Memory words as uint32 chunks, packed and unpacked field by field on whole arrays.

The vectorized twin of :class:`stemcore.golden.spec.fields.BitFields`, for words wider than 64 bits.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.fixed import Int64Array
from ..spec.bit_fields import BitFields
from ..spec.widths import CHUNK_WIDTH


def _pieces(position: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Parts of a field: (chunk, lowest bit in it, lowest bit in the field, bits)."""
    taken = 0
    while taken < width:
        chunk, bit = divmod(position + taken, CHUNK_WIDTH)
        n = min(width - taken, CHUNK_WIDTH - bit)
        yield chunk, bit, taken, n
        taken += n


def join_chunks(chunks: NDArray[np.uint32]) -> list[int]:
    """Words as Python integers, of chunks (words, n_chunks)."""
    return [sum(int(chunk) << (CHUNK_WIDTH * i) for i, chunk in enumerate(word)) for word in chunks]


def unsigned(values: ArrayLike, width: int) -> Int64Array:
    """Two's complement of ``values`` in ``width`` bits: what a field of that width holds."""
    return np.asarray(values, np.int64) & ((1 << width) - 1)


def unpack_words(layout: BitFields, chunks: NDArray[np.uint32]) -> dict[str, Int64Array]:
    """Every field of words given as chunks (words, n_chunks), chunk 0 holding bits 0..31.

    Fields of up to 63 bits, unsigned, int64 (words,).
    """
    n_chunks = -(-layout.width // CHUNK_WIDTH)
    if chunks.ndim != 2 or chunks.shape[1] != n_chunks:
        raise ValueError(
            f"{layout.name}: words must be uint32 of shape (words, {n_chunks}), got {chunks.shape}"
        )
    wide = chunks.astype(np.int64)
    result = {}
    for field, position, width in layout:
        value = np.zeros(len(chunks), np.int64)
        for chunk, bit, low, n in _pieces(position, width):
            value |= ((wide[:, chunk] >> bit) & ((1 << n) - 1)) << low
        result[field] = value
    return result


def pack_words(layout: BitFields, columns: Mapping[str, ArrayLike]) -> NDArray[np.uint32]:
    """Chunks (words, n_chunks) of words with one column of unsigned values for every field.

    Scalars are broadcast. ``ValueError`` for an unknown or missing field, or a value that does not
    fit.
    """
    names = [field for field, _ in layout.widths]
    if sorted(columns) != sorted(names):
        raise ValueError(f"{layout.name}: fields must be {names}, got {sorted(columns)}")
    arrays = np.broadcast_arrays(*(np.atleast_1d(np.asarray(columns[n], np.int64)) for n in names))
    chunks = np.zeros((len(arrays[0]), -(-layout.width // CHUNK_WIDTH)), np.int64)
    for values, (field, position, width) in zip(arrays, layout, strict=True):
        if values.size and (values.min() < 0 or values.max() >> width):
            raise ValueError(
                f"{layout.name}.{field}: must fit in {width} unsigned bits, "
                f"got {values.min()}..{values.max()}"
            )
        for chunk, bit, low, n in _pieces(position, width):
            chunks[:, chunk] |= ((values >> low) & ((1 << n) - 1)) << bit
    return chunks.astype(np.uint32)
