# SPDX-License-Identifier: Apache-2.0
"""What the codec beside a chip's port holds for a program, and samples as it takes and gives them.

The codec is described in ``stemcore.golden.spec.codec``.
"""

import math
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import Population
from stemcore.golden.program.inputs import input_values
from stemcore.golden.program.program import InputRoute, Program
from stemcore.golden.program.words import pack_words
from stemcore.golden.spec.codec import (
    WORD_BYTES,
    CodecFormats,
    CodecMemory,
    CodecParams,
    CodecRegister,
)
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.routing import HOST

from .boxes import Box, cover_boxes
from .flits import HOST_RECTANGLE, Host

Words = NDArray[np.uint32]
Stream = NDArray[np.uint64]


class CodecMisfitError(ValueError):
    """The codec has no room for a program, or no way to say it: flits are sent instead."""


@dataclass(frozen=True)
class CodecTables:
    """Contents of the codec's memories, chunks (words, n_chunks) of each, and sizes of samples.

    header : the word before a sample, both ways
    n_values, n_outputs : bytes of a sample that goes in, and of one that comes out
    """

    memories: dict[CodecMemory, Words]
    header: int
    n_values: int
    n_outputs: int

    def configuration(self, host: Host) -> NDArray[np.uint64]:
        """Flits that write all memories."""
        parts = []
        for memory, words in self.memories.items():
            parts.append([host.pointer(HOST_RECTANGLE, memory)])
            parts.append(
                [host.flit(Kind.WRITE, HOST_RECTANGLE, int(chunk)) for chunk in words.ravel()]
            )
        return np.concatenate(parts).astype(np.uint64)

    def reads(self, host: Host, memory: CodecMemory) -> list[NDArray[np.uint64]]:
        """Requests for all chunks of a memory, each answered by one flit."""
        read = host.flit(Kind.READ, HOST_RECTANGLE)
        first = np.array([host.pointer(HOST_RECTANGLE, memory), read], np.uint64)
        return [first] + [np.array([read], np.uint64)] * (self.memories[memory].size - 1)

    @property
    def words_out(self) -> int:
        """Words of a sample that comes out, behind its header."""
        return _n_words(self.n_outputs)

    @property
    def bytes_per_image(self) -> tuple[int, int]:
        """Bytes of the stream for an image: in, and out; each with its header."""
        return tuple(  # type: ignore[return-value]
            WORD_BYTES * (1 + _n_words(n)) for n in (self.n_values, self.n_outputs)
        )


def codec_tables(program: Program, codec: CodecParams) -> CodecTables:
    """Raises :class:`CodecMisfitError`, which says what does not fit, and which limit there is.

    A route that sends no box of values takes several words of ROUTE, one for each of its boxes. The
    spikes of a time step are then the same in another order of turns.
    """
    formats = CodecFormats(program.params, codec)
    starts = _starts(program.inputs)
    routes = [
        word
        for route in program.input_routes
        for word in _route(route, program.inputs[route.population], starts[route.population])
    ]
    _check(program, codec, len(routes))
    steps = max(population.bits for population in program.inputs)
    first = program.output_populations[0]
    n_values, n_outputs = (
        sum(math.prod(p.shape) for p in populations)
        for populations in (program.inputs, program.output_populations)
    )
    fields: dict[CodecRegister, dict[str, int]] = {
        CodecRegister.SAMPLE: {
            "words": _n_words(n_values),
            "steps": steps,
            "period": program.params.model.steps_per_period(steps),
            "routes": len(routes),
        },
        CodecRegister.TOKENS: {
            "ends": len(program.input_end),
            "credits": len(program.output_cores),
        },
        CodecRegister.SOURCE: {"credits": program.input_credits},
        CodecRegister.SINK: {
            "ends": program.output_ends,
            "periods": program.tokens_per_sample(first),
        },
        CodecRegister.RESULT: {
            "words": _n_words(n_outputs),
            "by_axon": int(len(program.output_populations) > 1),
        },
    }
    control = [formats.registers[register].pack(**fields[register]) for register in CodecRegister]
    tokens = [*program.input_end, *((x, y, x, y) for x, y in program.output_cores)]
    outputs = [
        _output(population, start)
        for population, start in zip(
            program.output_populations, _starts(program.output_populations), strict=True
        )
    ]
    header = Formats(program.params).flit.pack(
        kind=int(Kind.END), x0=HOST[0], y0=HOST[1], x1=HOST[0], y1=HOST[1], payload=0
    )
    return CodecTables(
        memories={
            CodecMemory.CONTROL: np.array(control, np.uint32)[:, None],
            CodecMemory.ROUTE: pack_words(formats.route, _columns(routes)),
            CodecMemory.TOKEN: pack_words(
                formats.token,
                _columns([dict(zip(("x0", "y0", "x1", "y1"), t, strict=True)) for t in tokens]),
            ),
            CodecMemory.OUTPUT: pack_words(formats.output, _columns(outputs)),
        },
        header=header,
        n_values=n_values,
        n_outputs=n_outputs,
    )


def encode_sample(program: Program, tables: CodecTables, image: NDArray[np.integer]) -> Stream:
    """Words of the stream for one image (\\*program.input_shape): header and bytes.

    ``ValueError`` for values that the populations cannot fire.
    """
    values = input_values(program, np.asarray(image)[None])
    flat = np.concatenate([v.ravel() for v in values]).astype(np.int64)
    padded = np.zeros(WORD_BYTES * _n_words(len(flat)), np.uint8)
    padded[: len(flat)] = flat & 0xFF
    return np.concatenate([[np.uint64(tables.header)], padded.view("<u8").astype(np.uint64)])


def decode_sample(program: Program, words: Stream) -> NDArray[np.int64]:
    """Integers of the output populations, one after the other, from the words behind a header."""
    data = np.asarray(words, "<u8").view(np.uint8).astype(np.int64)
    parts = []
    populations = program.output_populations
    for population, start in zip(populations, _starts(populations), strict=True):
        part = data[start : start + math.prod(population.shape)]
        if population.is_signed:
            part = part - ((part >> (population.bits - 1)) << population.bits)
        parts.append(part)
    return np.concatenate(parts)


def _check(program: Program, codec: CodecParams, n_boxes: int) -> None:
    """The sizes."""
    sizes = [math.prod(p.shape) for p in program.inputs]
    outputs = [math.prod(p.shape) for p in program.output_populations]
    for what, n, most in (
        ("values of a sample", sum(sizes), codec.n_values),
        ("values of a sample that comes out", sum(outputs), codec.n_outputs),
        ("boxes of values of routes", n_boxes, codec.n_routes),
        ("output populations", len(outputs), codec.n_populations),
        (
            "rectangles of tokens",
            len(program.input_end) + len(program.output_cores),
            codec.n_tokens,
        ),
    ):
        if n > most:
            raise CodecMisfitError(
                f"{program.name}: the spike codec has room for {most} {what}, {n} are needed"
            )
    if not n_boxes or not program.input_end or not program.output_cores:
        raise CodecMisfitError(
            f"{program.name}: the spike codec needs a route, an END and a CREDIT at least"
        )


def _route(route: InputRoute, population: Population, start: int) -> list[dict[str, int]]:
    """Fields of the words of ROUTE, one for each box of what the route sends."""
    nodes = dict(zip(("node_x0", "node_y0", "node_x1", "node_y1"), route.nodes, strict=True))
    common = {**nodes, "axon": route.axon, "bits": population.bits}
    corner = 0, route.rows[0], route.columns[0]
    return [
        common | _places(box, corner, population, start)
        for box in cover_boxes(route.neurons(population.shape[0]))
    ]


def _places(
    box: Box, corner: tuple[int, int, int], population: Population, start: int
) -> dict[str, int]:
    """Where a box lies whose coordinates count from ``corner``; ``start``: of the population."""
    _, height, width = population.shape
    (c0, y0, x0), (c1, y1, x1) = (
        tuple(of + at for of, at in zip(corner, end, strict=True)) for end in box
    )
    next_row = width - (x1 - x0)
    return {
        "c0": c0,
        "c1": c1,
        "y0": y0,
        "y1": y1,
        "x0": x0,
        "x1": x1,
        "base": start + (c0 * height + y0) * width + x0,
        # Of a box of one row, or one channel, never used; it may not fit.
        "next_row": next_row if y1 > y0 else 0,
        "next_channel": (height - (y1 - y0)) * width - (x1 - x0) if c1 > c0 else 0,
    }


def _output(population: Population, start: int) -> dict[str, int]:
    """Fields of a word of OUTPUT."""
    channels, height, width = population.shape
    return {
        "base": start,
        "channel": height * width if channels > 1 else 0,
        "row": width if height > 1 else 0,
        "bits": population.bits,
        "c": channels - 1,
        "y": height - 1,
        "x": width - 1,
    }


def _columns(rows: list[dict[str, int]]) -> dict[str, list[int]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _starts(populations: tuple[Population, ...]) -> list[int]:
    sizes = [math.prod(population.shape) for population in populations]
    return [0, *accumulate(sizes)][: len(sizes)]


def _n_words(n_bytes: int) -> int:
    return -(-n_bytes // WORD_BYTES)
