# SPDX-License-Identifier: Apache-2.0
"""A program and its images as the file that tests/support/c_driver.c reads."""

from pathlib import Path

import numpy as np

from stemcore.golden.program.program import Program
from stemcore.golden.spec.codec import WORD_BYTES, CodecMemory, CodecParams
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.host_registers import codec_word
from stemcore.runtime.host.bursts import as_bursts
from stemcore.runtime.host.codec_tables import codec_tables, decode_sample, encode_sample
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.protocol import Recorder


def write_program(
    path: Path,
    program: Program,
    images: np.ndarray,
    codec: CodecParams | None = None,
    *,
    wrong: tuple[int, int] | None = None,
) -> None:
    """Runs of 64-bit words, each after its length: configuration in bursts, STARTs, CREDITs, rules,
    sizes of a codec, each memory as it must be read back, and each token period of the input.

    ``codec``: of that size; then its tables, and each image as bytes, follow the sizes.
    ``wrong``: number of a memory and of a word of it that is expected to have its lowest bit
    another way.
    """
    host = Host(program)
    cores = program.cores
    flits = np.concatenate([host.configuration(core) for core in cores])
    configuration = as_bursts(flits, host.formats)
    memories = _memories(host, program)
    if wrong is not None:
        memories[wrong[0]][3 + wrong[1]] ^= np.uint64(1)
    parts = [part for image in images for part in host.parts(image)]
    periods = len(images) * program.tokens_per_sample(program.output_populations[0])
    rules = [program.input_credits, program.output_ends, len(parts), periods, len(memories)]
    sizes, rest = [], memories + parts
    if codec is not None:
        tables = codec_tables(program, codec)
        sizes = [codec_word(codec), tables.header, tables.n_values, tables.n_outputs, len(images)]
        done = tables.reads(host, CodecMemory.CONTROL)[0]
        rest = [np.concatenate([as_bursts(tables.configuration(host), host.formats), done])]
        rest += [encode_sample(program, tables, image)[1:] for image in images]
    starts = np.concatenate([host.start(core) for core in cores])
    heads = [configuration, starts, host.credits()]
    runs = [*heads, np.array(rules), np.array(sizes), *rest]
    with path.open("wb") as file:
        for run in runs:
            file.write(np.uint64(len(run)).tobytes() + run.astype(np.uint64).tobytes())


def _memories(host: Host, program: Program) -> list[np.ndarray]:
    """For each: ADDRESS, READ, where an answer carries what was read, and the words."""
    flit = Formats(program.params).flit
    shift = next(position for name, position, _ in flit if name == "payload")
    found = []
    for core in program.cores:
        for memory, words in core.memories.items():
            if memory is not Memory.CONTROL and words.size:
                (ask,) = host.read(core, memory, 0, 1)
                head = np.array([*ask, shift], np.uint64)
                chunks = np.asarray(words, np.int64).ravel().astype(np.uint64)
                found.append(np.concatenate([head, chunks]))
    return found


def results_of(path: Path, program: Program, n_images: int) -> np.ndarray:
    """Values (N, outputs) of a file of bytes."""
    data = np.fromfile(path, np.uint8).reshape(n_images, -1)
    padded = np.pad(data, ((0, 0), (0, -data.shape[1] % WORD_BYTES)))
    return np.stack([decode_sample(program, row.view("<u8")) for row in padded])


def outputs_of(path: Path, program: Program, n_images: int) -> np.ndarray:
    """What the flits of a file say that the host received."""
    populations = program.output_populations
    ends = program.output_ends * program.tokens_per_sample(populations[0])
    recorder = Recorder(Formats(program.params), populations, n_images, ends)
    for flit in np.fromfile(path, np.uint64).tolist():
        recorder.see(flit)
    assert recorder.sample == n_images
    return recorder.values
