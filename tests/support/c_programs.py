# SPDX-License-Identifier: Apache-2.0
"""A program and its images as the file that tests/support/c_driver.c reads."""

from pathlib import Path

import numpy as np

from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Formats
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.protocol import Recorder


def write_program(path: Path, program: Program, images: np.ndarray) -> None:
    """Runs of 64-bit words, each after its length: configuration with START, CREDITs, rules, and
    each token period of the input."""
    host = Host(program)
    cores = program.cores
    configuration = [host.configuration(core) for core in cores]
    configuration += [host.start(core) for core in cores]
    parts = [part for image in images for part in host.parts(image)]
    periods = len(images) * program.tokens_per_sample(program.output_populations[0])
    rules = [program.input_credits, program.output_ends, len(parts), periods]
    runs = [np.concatenate(configuration), host.credits(), np.array(rules), *parts]
    with path.open("wb") as file:
        for run in runs:
            file.write(np.uint64(len(run)).tobytes() + run.astype(np.uint64).tobytes())


def outputs_of(path: Path, program: Program, n_images: int) -> np.ndarray:
    """What the flits of a file say that the host received."""
    populations = program.output_populations
    ends = program.output_ends * program.tokens_per_sample(populations[0])
    recorder = Recorder(Formats(program.params), populations, n_images, ends)
    for flit in np.fromfile(path, np.uint64).tolist():
        recorder.see(flit)
    assert recorder.sample == n_images
    return recorder.values
