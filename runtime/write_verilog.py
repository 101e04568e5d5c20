# SPDX-License-Identifier: Apache-2.0
"""A model's chip as self-contained Verilog, with the host's flits and a bench without Python."""

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.folders import cache, results
from stemcore.golden.network.forward import run_network
from stemcore.golden.program.program import Program
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.fields import BitFields, Formats, Kind, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.export import chip_verilog, node_verilog

from .host.flits import Flits, Host
from .host.protocol import output_population, tokens_per_sample
from .prepare import Settings, compile_program, prepare
from .report.names import compile_folder, run_name
from .toolchain import ToolError
from .toolchain.bench import Simulator
from .toolchain.icarus import compile_verilog, run_vvp
from .toolchain.process import run
from .toolchain.verilator import verilate

TEMPLATES = Path(__file__).parent / "host" / "templates"
SOURCES = ("bench.v", "chip.v", "node.v")
RUN_LIMIT_S = 3600


def write_verilog(
    settings: Settings, n_images: int = 1, *, say: Callable[[str], None] = lambda line: None
) -> Path:
    """Verilog, flits and bench of a model; returns its folder below
    ``sim_build/verilog``, named as in :mod:`stemcore.runtime.report.names`.

    The bench runs the first ``n_images`` test images and expects what golden computes. ``say``
    is told what was compiled before.
    """
    prepared = prepare(
        settings, n_train=CALIBRATION_IMAGES, folder=compile_folder(settings), say=say
    )
    if not 1 <= n_images <= len(prepared.integers):
        raise ValueError(
            f"IMAGES: must lie in 1..{len(prepared.integers)}, the test images of "
            f"{settings.dataset}; got {n_images}"
        )
    images = prepared.integers[:n_images]
    program = compile_program(prepared)
    values = run_network(
        prepared.network, images, acc_width=prepared.params.acc_width, keep={program.output}
    )
    folder = results() / "verilog" / run_name(settings)
    return write_bench(program, images, folder, expected=values[program.output])


def write_bench(
    program: Program,
    images: NDArray[np.integer],
    folder: Path,
    *,
    expected: NDArray[np.int64] | None = None,
) -> Path:
    """Writes Verilog, flits and bench of ``program`` into ``folder``: all of it or nothing.

    ``expected`` are the output's values (N, C, H, W); default: what the program engine computes.
    """
    if expected is None:
        expected = run_program(program, images).outputs
    folder = Path(folder)
    aside = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        _fill(aside, folder.name, program, images, expected)
        before = folder.with_name(f".{folder.name}-{os.getpid()}-before")
        if folder.exists():
            folder.rename(before)
        aside.rename(folder)
        shutil.rmtree(before, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def run_bench_verilog(folder: Path, simulator: Simulator) -> str:
    """Runs the bench in ``folder``; returns what it printed. Raises ``ToolError`` if it fails."""
    folder = Path(folder)
    sources = [folder / name for name in SOURCES]
    builds = cache() / "benches"
    if simulator == "icarus":
        program = compile_verilog(sources, top="bench", out_dir=builds)
        return run_vvp(program, cwd=folder, timeout_s=RUN_LIMIT_S)
    if simulator != "verilator":
        raise ValueError(f"simulator must be 'icarus' or 'verilator', not {simulator!r}")
    program = verilate(sources, top="bench", out_dir=builds, binary=True)
    _, output = run([program], cwd=folder, timeout_s=RUN_LIMIT_S)
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
    population = output_population(program)
    mask = (1 << population.bits) - 1
    values = [
        (f"image {n}", (value.reshape(-1) & mask).astype(np.uint64))
        for n, value in enumerate(expected)
    ]
    counts = {
        "config": _write_hex(folder / "config.hex", [*configuration, *starts], digits),
        "image": _write_hex(folder / "image.hex", samples, digits),
        "credit": _write_hex(folder / "credit.hex", [("CREDIT", host.credits())], digits),
        "expected": _write_hex(folder / "expected.hex", values, 2),
    }
    params = program.params
    (folder / "node.v").write_text(node_verilog(params))
    chip = chip_verilog(params, columns=program.columns, rows=program.rows)
    (folder / "chip.v").write_text(chip)
    template = (TEMPLATES / "bench.v").read_text()
    (folder / "bench.v").write_text(
        template.replace("//@PARAMETERS@", _bench_parameters(program, counts, len(images)))
    )
    (folder / "README.txt").write_text(_readme(title, program, counts, len(images)))
    (folder / "PORTS.txt").write_text(ports_note(params))


def _write_hex(path: Path, parts: Iterable[tuple[str, Flits]], digits: int) -> int:
    """A file for ``$readmemh``, each part under its title; returns the number of words."""
    n_words = 0
    with path.open("w") as file:
        for title, words in parts:
            file.write(f"// {title}: {len(words)}\n")
            file.write("".join(f"{word:0{digits}x}\n" for word in words.tolist()))
            n_words += len(words)
    return n_words


def _bench_parameters(program: Program, counts: dict[str, int], n_images: int) -> str:
    """What the bench has to know of the program, as localparams and a function."""
    formats = Formats(program.params)
    population = output_population(program)
    flit = {name: (position, width) for name, position, width in formats.flit}
    spike = {name: (position, width) for name, position, width in formats.spike}
    channels, rows, columns = population.shape
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
        "INPUT_PARTS": tokens_per_sample(program, program.input),
        "OUTPUT_ENDS": program.output_ends,
        "OUTPUT_PARTS": tokens_per_sample(program, population),
        "OUT_CHANNELS": channels,
        "OUT_ROWS": rows,
        "OUT_COLUMNS": columns,
        "BITS": population.bits,
        "IS_SIGNED": int(population.is_signed),
        "KIND_AT": flit["kind"][0],
        "KIND_WIDTH": flit["kind"][1],
        "PAYLOAD_AT": flit["payload"][0],
    }
    for name in ("t", "c", "y", "x"):
        position, width = spike[name]
        values |= {f"{name.upper()}_AT": position, f"{name.upper()}_WIDTH": width}
    lines = [f"  localparam {name} = {value};" for name, value in values.items()]
    names = {core.y * program.columns + core.x: core.layer for core in program.cores}
    width = max(len(name) for name in [*names.values(), "unused"])
    lines += [
        "",
        f"  function [{8 * width - 1}:0] layer_of(input integer node);",
        "    case (node)",
        *(
            f'      {number - program.columns}: layer_of = "{name}";'
            for number, name in sorted(names.items())
        ),
        '      default: layer_of = "unused";',
        "    endcase",
        "  endfunction",
    ]
    return "\n".join(lines)


def _readme(title: str, program: Program, counts: dict[str, int], n_images: int) -> str:
    return f"""\
{title}: {program.columns} x {program.rows} nodes, {len(program.cores)} of them in use

Run it in this folder, with Icarus Verilog 11 or newer, or Verilator 5:

  iverilog -g2012 -s bench -o bench.vvp {" ".join(SOURCES)} && vvp -n bench.vvp
  verilator --binary --timing -Wno-fatal --top-module bench {" ".join(SOURCES)} && obj_dir/Vbench

The bench sends the configuration over the mesh, then {n_images} image{"s" * (n_images > 1)}; it
compares every output value and ends with PASS, or with FAIL and an exit status that is not zero.
If nothing moves any more it says where the tokens stand. Compiling takes Verilator about ten
seconds a node; it runs some hundred times faster than Icarus.

  node.v        a node: router and neuron core; PORTS.txt tells about its ports
  chip.v        the mesh of nodes
  bench.v       the host, and the comparison
  config.hex    {counts["config"]} flits: contents of all memories, and START
  image.hex     {counts["image"]} flits: spikes of the images, each image closed by END
  credit.hex    {counts["credit"]} flits: sent ahead of every image that is to come out
  expected.hex  {counts["expected"]} values: the output neurons, channel by channel, row by row
"""


def ports_note(params: ChipParams) -> str:
    """Ports of the modules ``node`` and ``chip``, and the bits of a flit."""
    formats = Formats(params)
    width, coord = formats.flit.width, params.coord_width
    kinds = "\n".join(f"  {int(kind)}  {kind.name}" for kind in Kind)
    memories = "\n".join(
        f"  {int(memory):2d}  {memory.name:12s} {formats.memory(memory)[1]:6d} words of "
        f"{formats.word_width(memory)} bits, {formats.n_chunks(memory)} chunk(s) each"
        for memory in Memory
    )
    return f"""\
Ports of module node (node.v)

  clk, rst              one clock, rising edge; synchronous reset, active high, a cycle or more.
                        Reset does not touch the memories.
  x, y                  coordinates, [{coord - 1}:0], constant: columns from 0, rows from 1 to the
                        south. Nodes of the top row must have y = 1: they treat what comes from
                        the north as the host's.
  i__P__*, o__P__*      flits into the node and out of it; P is 0 North, 1 East, 2 South, 3 West;
                        * is valid, payload [{width - 1}:0] and ready. A flit passes in a cycle
                        with valid and ready. Once valid, it stays until it is taken. Every output
                        depends on registers only: links may be joined directly, without loops,
                        or through FIFOs of any depth. Tie i__P__valid and o__P__ready to 0 where
                        a link leads nowhere.
  quiet                 nothing will change before a flit arrives; for clock gating or an LED.
  sent, sent_flit       what the core hands to its router, for observation; leave them open.

Ports of module chip (chip.v)

  host_i_*, host_o_*    the host's link: the north link of node (0, 1), named as seen from the chip.
  quiet                 all nodes are.

A flit, {width} bits

{_fields(formats.flit)}
  A flit goes to all nodes of the rectangle x0..x1, y0..y1; (0, 0, 0, 0) is the host.
  kind:
{kinds}
  payload of SPIKE:
{_fields(formats.spike)}
  payload of ADDRESS:
{_fields(formats.pointer)}
  payload of WRITE and DATA: 32 bits. A WRITE or READ moves the pointer on, chunk by chunk.
  memory:
{memories}
"""


def _fields(layout: BitFields) -> str:
    return "\n".join(
        f"  {f'[{position + width - 1}:{position}]':10s} {name}" for name, position, width in layout
    )
