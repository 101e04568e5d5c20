# SPDX-License-Identifier: Apache-2.0
"""Programs that keep a mesh of any size busy, and how fast engines step them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.network import INPUT, Connection, Layer, Network, Population
from stemcore.golden.program.program import Program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.hdl.export import chip_verilog
from stemcore.runtime.host.flits import Host
from stemcore.runtime.native import watchdog
from stemcore.runtime.native.build import ENGINE, node_sources
from stemcore.runtime.native.verilated_mesh import VerilatedMesh
from stemcore.runtime.toolchain.process import run
from stemcore.runtime.toolchain.verilator import BuildOptions, verilate

HOST_SOURCE = Path(__file__).with_name("chip_host.cpp")


@dataclass(frozen=True)
class Speed:
    """Clock cycles, cycles of single nodes that were stepped, and seconds for them.

    ``seconds`` are those of all processors together, ``wall_s`` those that passed, None where they
    are not measured.
    """

    cycles: int
    node_cycles: int
    seconds: float
    wall_s: float | None = None


def one_node_program(preset: str = "sim32") -> tuple[Program, NDArray[np.int64]]:
    """A 3 x 3 convolution on one node: 8 channels to one for each lane, on 8 x 8; and images."""
    rng = np.random.default_rng(0)
    params = get_preset(preset)
    channels = params.lanes
    weight = rng.integers(-127, 128, (channels, 8, 3, 3)).astype(np.int8)
    zeros = np.zeros(channels, np.int64)
    layer = Layer(
        "conv",
        (channels, 8, 8),
        (Connection(INPUT, weight, padding=(1, 1)),),
        zeros,
        zeros + 1,
        zeros + 10,
    )
    source = Population(INPUT, (8, 8, 8), 8, False)
    network = Network("conv", source, (layer,), {INPUT: 1.0, "conv": 1.0})
    images = rng.integers(0, 256, (64, *source.shape))
    return compile_network(network, params, columns=1, rows=1), images


def busy_program(
    columns: int, rows: int, preset: str = "sim32"
) -> tuple[Program, NDArray[np.int64]]:
    """The program of one node on every node of a mesh: all get the same spikes, so all are busy.

    The first one alone fires; the others finish their samples and keep them.
    """
    program, images = one_node_program(preset)
    (first,) = program.cores
    registers = first.memories[Memory.CONTROL].copy()
    empty = Formats(program.params).token_list.pack(start=0, count=0)
    registers[[Control.N_FIRE, Control.N_DESTINATIONS, Control.END_LIST]] = [[0], [0], [empty]]
    silent = {**first.memories, Memory.CONTROL: registers}
    cores = [first]
    for number in range(1, columns * rows):
        x, y = number % columns, number // columns + 1
        cores.append(replace(first, x=x, y=y, memories=silent))
    everywhere = (0, 1, columns - 1, rows)
    (route,) = program.input_routes
    program = replace(
        program,
        columns=columns,
        rows=rows,
        cores=tuple(cores),
        input_routes=(replace(route, nodes=everywhere),),
        input_end=(everywhere,),
        input_credits=len(cores),
    )
    return program, images


def native_speed(
    library: Path, program: Program, images: NDArray[np.integer], *, threads: int = 1
) -> Speed:
    """Of the native engine, from START to the last END."""
    n_nodes = program.columns * program.rows
    with VerilatedMesh(library, program, threads=threads) as mesh:
        for core in program.cores:
            mesh.load(core)
        watchdog.settled(mesh)
        population = next(
            layer.population for layer in program.layers if layer.population.name == program.output
        )
        outputs = np.zeros((len(images), *population.shape), np.uint8)
        mesh.record(-1, outputs, [population], program.output_ends)
        for core in program.cores:
            mesh.send(mesh.host.start(core))
        mesh.prepare_host(np.asarray(images, np.int64))
        before = [mesh.evaluated(n) for n in range(n_nodes)]
        first, began, clock = mesh.cycle, time.process_time(), time.perf_counter()
        status = mesh.run(samples=len(images), limit=1_000_000_000)
        seconds, wall_s = time.process_time() - began, time.perf_counter() - clock
        if status or not outputs.any():
            raise RuntimeError(f"{program.name}: must come to an end and fire; status {status}")
        stepped = sum(mesh.evaluated(n) for n in range(n_nodes)) - sum(before)
        return Speed(mesh.cycle - first, stepped, seconds, wall_s)


def build_chip(program: Program, out_dir: Path) -> Path:
    """The program's whole chip as one Verilator model, with a host that plays flits from a file."""
    params = program.params
    folder = node_sources(params, out_dir)
    chip = out_dir / f"chip_{program.columns}x{program.rows}.v"
    chip.write_text(chip_verilog(params, columns=program.columns, rows=program.rows))
    return verilate(
        [folder / "node.v", chip],
        top="chip",
        out_dir=out_dir,
        cpp_sources=[HOST_SOURCE],
        depends=[folder / "fields.h", ENGINE.with_name("host.h")],
        options=BuildOptions(
            flags=["--x-assign", "fast", "--x-initial", "fast", "--noassert", "-O3"],
            cflags=["-std=c++20", "-march=native"],
            optimize="-O3",
        ),
    )


def write_host_file(path: Path, lists: Sequence[NDArray[np.uint64]], numbers: list[int]) -> None:
    """What chip_host.cpp reads: lists of flits, each behind its length, then numbers."""
    words = [word for flits in lists for word in (len(flits), *flits.tolist())]
    # From whole numbers: arrays of different types would meet in one of 53 bits.
    np.array([*words, *numbers], "<u8").tofile(path)


def chip_speed(binary: Path, program: Program, image: NDArray[np.integer], n: int) -> Speed:
    """Of the whole chip, from START to the last END, ``n`` times the same image."""
    host = Host(program)
    lists = [
        np.concatenate([host.configuration(core) for core in program.cores]),
        np.concatenate([host.start(core) for core in program.cores]),
        host.credits(),
        host.sample(image),
    ]
    file = binary.parent / "flits.bin"
    write_host_file(file, lists, [program.input_credits, program.output_ends, n])
    _, text = run([binary, file], cwd=binary.parent)
    cycles, seconds, ended = text.split()
    if int(ended) != n:
        raise RuntimeError(f"{program.name}: {n} samples must come out of the chip, got {ended}")
    nodes = program.columns * program.rows
    return Speed(int(cycles), int(cycles) * nodes, float(seconds))
