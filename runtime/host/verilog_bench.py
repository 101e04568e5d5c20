# SPDX-License-Identifier: Apache-2.0
"""A program's chip as self-contained Verilog, with the host's flits and a bench without Python.

The texts lie in runtime/host/templates.
"""

import glob
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.files import alone_in_folder, naming
from stemcore.folders import cache
from stemcore.golden.program.program import Program
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.export import chip_verilog, node_blackbox, node_states, node_verilog

from ..toolchain import ToolError
from ..toolchain.icarus import compile_verilog, run_vvp
from ..toolchain.process import Simulator, run
from ..toolchain.verilator import verilate
from .flits import Host
from .hex_file import write_hex
from .host_sides import NO_SIDES, HostSides
from .templates_text import TEMPLATES, filled
from .wave_view import saved_view, write_value_names

SOURCES = ("bench.v", "chip.v", "node.v")
LINT_WAIVERS = "lint.vlt"  # for Verilator, with a reason each
SAVED_VIEW = "bench.gtkw"  # of the bench's waves, for GTKWave
RUN_LIMIT_S = 3600


def write_bench(
    program: Program,
    images: NDArray[np.integer],
    folder: Path,
    *,
    expected: NDArray[np.int64] | None = None,
    sides: HostSides = NO_SIDES,
) -> Path:
    """Writes Verilog, flits and bench of ``program`` into ``folder``: all of it or nothing.

    ``expected`` are the output's values (N, C, H, W), of several outputs (N, E, 1, 1); default:
    what the program engine computes. ``sides``: also the chip behind these.
    """
    if expected is None:
        expected = run_program(program, images).outputs
    folder = Path(folder)
    aside = folder.with_name(f".{folder.name}-{os.getpid()}")
    with alone_in_folder(folder.parent):
        _remove_forgotten(folder)
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
    try:
        with naming(folder):
            _fill(aside, folder.name, program, images, expected)
            sides.write(aside, program, images)
        with alone_in_folder(folder.parent):
            before = folder.with_name(f"{aside.name}-before")
            if folder.exists():
                folder.rename(before)
            aside.rename(folder)
            shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _remove_forgotten(folder: Path) -> None:
    """Takes away what processes left that were killed while they filled ``folder``."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}-*"):
        number = left.name.removeprefix(f".{folder.name}-").removesuffix("-before")
        if number.isdecimal() and not Path("/proc", number).exists():
            shutil.rmtree(left, ignore_errors=True)


def run_bench_verilog(
    folder: Path,
    simulator: Simulator,
    *,
    sources: Sequence[Path] | None = None,
    flits: str | None = None,
) -> str:
    """Runs the bench in ``folder``; returns what it printed. Raises ``ToolError`` if it fails.

    sources : in the place of the files of ``folder``
    flits : name of a file in ``folder`` that gets every flit, a line each: cycle, node, flit
    """
    folder = Path(folder)
    sources = [folder / name for name in SOURCES] if sources is None else sources
    builds = cache() / "benches"
    plusargs = [] if flits is None else [f"+flits={flits}"]
    if simulator == "icarus":
        program = compile_verilog(sources, top="bench", out_dir=builds)
        return run_vvp(program, cwd=folder, plusargs=plusargs, timeout_s=RUN_LIMIT_S)
    if simulator != "verilator":
        raise ValueError(f"simulator must be 'icarus' or 'verilator', not {simulator!r}")
    program = verilate(sources, top="bench", out_dir=builds, kind="bench")
    _, output = run([program, *plusargs], cwd=folder, timeout_s=RUN_LIMIT_S)
    if not any(line.startswith("PASS:") for line in output.splitlines()):
        raise ToolError(f"{folder.name}: the bench must end with PASS", output=output)
    return output


def _fill(
    folder: Path,
    title: str,
    program: Program,
    images: NDArray[np.integer],
    expected: NDArray[np.int64],
) -> None:
    host = Host(program)
    digits = -(-host.formats.flit.width // 4)
    configuration = [
        (f"node ({core.x}, {core.y}) {core.layer}", host.configuration(core))
        for core in program.cores
    ]
    starts = [(f"start node ({core.x}, {core.y})", host.start(core)) for core in program.cores]
    samples = [(f"image {n}", host.sample(image)) for n, image in enumerate(images)]
    masks = np.concatenate(
        [np.full(p.shape, (1 << p.bits) - 1).reshape(-1) for p in program.output_populations]
    )
    values = [
        (f"image {n}", (value.reshape(-1) & masks).astype(np.uint64))
        for n, value in enumerate(expected)
    ]
    counts = {
        "config": write_hex(folder / "config.hex", [*configuration, *starts], digits),
        "image": write_hex(folder / "image.hex", samples, digits),
        "credit": write_hex(folder / "credit.hex", [("CREDIT", host.credits())], digits),
        "expected": write_hex(folder / "expected.hex", values, 2),
    }
    params = program.params
    (folder / "node.v").write_text(node_verilog(params))
    (folder / "node_blackbox.v").write_text(node_blackbox(params))
    chip = chip_verilog(params, columns=program.columns, rows=program.rows)
    (folder / "chip.v").write_text(chip)
    template = (TEMPLATES / "bench.v").read_text()
    (folder / "bench.v").write_text(
        template.replace("//@PARAMETERS@", _bench_parameters(program, counts, len(images)))
    )
    (folder / "README.txt").write_text(_readme(title, program, counts, len(images)))
    (folder / "PORTS.txt").write_text(ports_note(params))
    shutil.copyfile(TEMPLATES / LINT_WAIVERS, folder / LINT_WAIVERS)
    states = node_states(params)
    write_value_names(folder, params, states)
    (folder / SAVED_VIEW).write_text(saved_view(params, _instances(program), states))


def _instances(program: Program) -> dict[str, str]:
    """Nodes with a core, as the bench's waves call them, by what they are for."""
    return {
        f"node ({core.x}, {core.y}) {core.layer}": f"bench.dut.row[{core.y}].column[{core.x}].node"
        for core in program.cores
    }


def _bench_parameters(program: Program, counts: dict[str, int], n_images: int) -> str:
    """What the bench has to know of the program, as localparams and a function."""
    formats = Formats(program.params)
    populations = program.output_populations
    flit = {name: (position, width) for name, position, width in formats.flit}
    spike = {name: (position, width) for name, position, width in formats.spike}
    values = {
        "WIDTH": formats.flit.width,
        "COLUMNS": program.columns,
        "NODES": program.columns * program.rows,
        "N_CONFIG": counts["config"],
        "N_IMAGE_FLITS": counts["image"],
        "N_CREDIT_FLITS": counts["credit"],
        "N_IMAGES": n_images,
        "INPUT_ENDS": len(program.input_end),
        "INPUT_CREDITS": program.input_credits,
        "INPUT_PARTS": program.tokens_per_sample(program.input),
        "OUTPUT_ENDS": program.output_ends,
        "OUTPUT_PARTS": program.tokens_per_sample(populations[0]),
        "OUTPUTS": len(populations),
        "NEURONS": sum(math.prod(population.shape) for population in populations),
        "BITS": max(population.bits for population in populations),
        "KIND_AT": flit["kind"][0],
        "KIND_WIDTH": flit["kind"][1],
        "PAYLOAD_AT": flit["payload"][0],
    }
    for name in ("axon", "t", "c", "y", "x"):
        position, width = spike[name]
        values |= {f"{name.upper()}_AT": position, f"{name.upper()}_WIDTH": width}
    lines = [f"  localparam {name} = {value};" for name, value in values.items()]
    starts = accumulate([math.prod(population.shape) for population in populations], initial=0)
    lines += _by_axon("first_value", starts)
    for place, name in enumerate(("channels", "rows", "columns")):
        lines += _by_axon(name, (population.shape[place] for population in populations))
    lines += _by_axon("bits", (population.bits for population in populations))
    lines += _by_axon("is_signed", (int(population.is_signed) for population in populations))
    names = {core.y * program.columns + core.x: core.layer for core in program.cores}
    nodes = {number - program.columns: name for number, name in sorted(names.items())}
    lines += _text_function("layer_of", "node", nodes, "unused")
    lines += _text_function(
        "output_name", "axon", dict(enumerate(program.output_layers)), "nothing"
    )
    return "\n".join(lines)


def _by_axon(name: str, values: Iterable[int]) -> list[str]:
    """A function of the axon through which the host receives a layer."""
    return [
        "",
        f"  function integer {name}(input integer axon);",
        "    case (axon)",
        *(f"      {axon}: {name} = {value};" for axon, value in enumerate(values)),
        f"      default: {name} = 0;",
        "    endcase",
        "  endfunction",
    ]


def _text_function(name: str, argument: str, texts: Mapping[int, str], other: str) -> list[str]:
    """A function that names what has a number."""
    width = max(len(text) for text in [*texts.values(), other])
    return [
        "",
        f"  function [{8 * width - 1}:0] {name}(input integer {argument});",
        f"    case ({argument})",
        *(f'      {number}: {name} = "{text}";' for number, text in texts.items()),
        f'      default: {name} = "{other}";',
        "    endcase",
        "  endfunction",
    ]


def _readme(title: str, program: Program, counts: dict[str, int], n_images: int) -> str:
    return filled(
        "README.txt",
        title=title,
        columns=program.columns,
        rows=program.rows,
        cores=len(program.cores),
        sources=" ".join(SOURCES),
        images=f"{n_images} image{'s' * (n_images > 1)}",
        **{f"n_{name}": count for name, count in counts.items()},
    )


def ports_note(params: ChipParams) -> str:
    """Ports of the modules ``node`` and ``chip``, and the bits of a flit."""
    formats = Formats(params)
    memories = [
        f"  {int(memory):2d}  {memory.name:12s} {formats.memory(memory)[1]:6d} words of "
        f"{formats.word_width(memory)} bits, {formats.n_chunks(memory)} chunk(s) each"
        for memory in Memory
    ]
    return filled(
        "PORTS.txt",
        coord_msb=params.coord_width - 1,
        flit_msb=formats.flit.width - 1,
        flit_width=formats.flit.width,
        flit=_fields(formats.flit),
        kinds="\n".join(f"  {int(kind)}  {kind.name}" for kind in Kind),
        spike=_fields(formats.spike),
        pointer=_fields(formats.pointer),
        memories="\n".join(memories),
    )


def _fields(layout: BitFields) -> str:
    return "\n".join(
        f"  {f'[{position + width - 1}:{position}]':10s} {name}" for name, position, width in layout
    )
