# SPDX-License-Identifier: Apache-2.0
"""Compiles one node and runtime/native/engine.cpp to a shared library.

Converting the node to Verilog takes seconds and compiling it a good part of a minute, so both are
kept: the conversion by the content of the sources, the library by that of the Verilog.
"""

import gc
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from stemcore import hdl
from stemcore.golden import spec
from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.fields import ALERT, Formats, Kind
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.spike_code import SpikeCode
from stemcore.golden.spec.widths import ACTIVATION_WIDTH
from stemcore.hdl.export import RAM_NAME, RANGES_SCOPE, memory_scopes, node_export

from ..toolchain.process import built_once, content_key, find_program, run, tree_key
from ..toolchain.verilator import COMPILER_HINT, BuildOptions, verilate
from . import clocks
from .clocks import BLOCKS, simulation_verilog

ENGINE = Path(__file__).parent / "engine.cpp"
HEADERS = [ENGINE.parent / name for name in ("host.h", "mesh.h", "node.h", "sharing.h", "team.h")]
MAX_THREADS = 8  # that step a mesh; a node has a byte for each of them
# Registers from which the watchdog tells what a core waits for: scope and name.
WATCHED = (
    ("node.core.control", "n_ends"),
    ("node.core.control", "n_credits"),
    ("node.core.control", "samples"),
    ("node.core.spikes", "stored"),
)
_log = logging.getLogger(__name__)
# Of the gateware as it was imported: a file may be edited before this process converts a node.
# hdl sees golden.spec and nothing else of this project.
_SOURCES_KEY = content_key(
    [Path(__file__), Path(clocks.__file__)],
    *(tree_key(Path(package.__path__[0])) for package in (hdl, spec)),
)


def sources_key() -> str:
    """Changes with any file that gateware is made from."""
    return _SOURCES_KEY


def build(params: ChipParams, out_dir: Path, *, waves: bool = False) -> Path:
    """The shared library for a node of ``params``, compiled once; ``waves`` adds FST tracing."""
    folder = node_sources(params, out_dir, simulation=not waves)
    library = verilate(
        [folder / "public.vlt", folder / "node.v"],
        top="node",
        out_dir=Path(out_dir),
        cpp_sources=[ENGINE],
        depends=[folder / "fields.h", *HEADERS],
        name="stem_node_waves" if waves else "stem_node",
        kind="library",
        options=BuildOptions(
            flags=["--x-assign", "fast", "--x-initial", "fast", "--noassert", "-O3"],
            cflags=[
                "-std=c++20",
                "-march=native",
                "-pthread",
                f"-DSTEM_PROCESSOR={_processor()}",
                f"-DSTEM_MAX_THREADS={MAX_THREADS}",
                # Nobody puts other functions in the place of the library's own.
                "-fno-semantic-interposition",
                "-fno-gcse",  # of long straight code: faster without by a twentieth
                # Each library has clocks of its own where a process loads several.
                "-fno-gnu-unique",
                *(["-DSTEM_TRACE"] if waves else []),
            ],
            ldflags=["-Wl,-Bsymbolic-functions", "-pthread", *(["-llz4", "-lz"] if waves else [])],
            trace="fst" if waves else None,
            optimize="-O2",  # -O3 is slower here by an eighth
        ),
    )
    if not waves:
        check_order(library.with_name("Vnode___024root.h"))
    return library


def check_order(header: Path) -> None:
    """Raises ``RuntimeError`` where Verilator takes some of a node's logic for a loop.

    The engine evaluates a node once a cycle, in Verilator's order. Of what seems to be a loop (bits
    of one vector that others of it are made from) Verilator makes a trigger, and evaluates again;
    the engine would go on with values of the cycle before.
    """
    found = sorted(set(re.findall(r"__Vtrigprevexpr___TOP__(node__\w+)__\d", header.read_text())))
    if found:
        names = ", ".join(name.replace("__DOT__", ".").replace("__02e", ".") for name in found)
        raise RuntimeError(
            f"{header}: Verilator must find an order for all of a node's logic, and takes these "
            f"for a loop: {names}; give bits that others are made from signals of their own in hdl"
        )


@cache
def _processor() -> str:
    """What the compiler makes of ``-march=native``: a library is of use on such machines only."""
    compiler = find_program("g++", hint=COMPILER_HINT)
    _, text = run([compiler, "-march=native", "-Q", "--help=target"], cwd=ENGINE.parent)
    return f"0x{content_key([], text)}"


def node_sources(params: ChipParams, out_dir: Path, *, simulation: bool = False) -> Path:
    """Folder with node.v, what of it is public, and the bit fields as a C++ header.

    ``simulation`` gives node.v the form of ``stemcore.runtime.native.clocks``.
    """
    key = content_key([], _SOURCES_KEY, sorted(params.to_dict().items()))
    name = "simulation" if simulation else "node"
    with built_once(Path(out_dir).resolve(), name, key) as (folder, empty):
        if empty:
            _log.info("node for these chip sizes: Amaranth to Verilog, once; kept for later runs")
            modules: Mapping[str, str]
            with _no_garbage_collection():
                if simulation:
                    reached = [RANGES_SCOPE, *(scope for scope, _ in WATCHED)]
                    verilog = simulation_verilog(params, reached=reached)
                    modules = {scope: "__".join(scope.split(".")) for scope in _reached(params)}
                else:
                    exported = node_export(params)
                    verilog, modules = exported.verilog, exported.modules
                (folder / "node.v").write_text(verilog)
            (folder / "public.vlt").write_text(_public(params, modules))
            (folder / "fields.h").write_text(fields_header(params))
    return folder


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Conversion makes millions of objects; collecting garbage among them takes a third of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _memories(params: ChipParams) -> Iterator[str]:
    for scopes in (*memory_scopes(params).values(), (RANGES_SCOPE,)):
        yield from scopes


def _reached(params: ChipParams) -> Iterator[str]:
    """Scopes that the engine reaches into."""
    yield from _memories(params)
    yield from (scope for scope, _ in WATCHED)


def _public(params: ChipParams, modules: Mapping[str, str]) -> str:
    """Verilator rules that let the engine reach the configured memories, and see ``WATCHED``.

    ``modules`` by scope.
    """
    seen = [(modules[scope], name) for scope, name in WATCHED]
    written = [(modules[scope], RAM_NAME) for scope in _memories(params)]
    rules = [f'public_flat_rd -module "{module}" -var "{name}"' for module, name in seen]
    rules += [f'public_flat_rw -module "{module}" -var "{name}"' for module, name in written]
    return "\n".join(["`verilator_config", *dict.fromkeys(rules)]) + "\n"


def fields_header(params: ChipParams) -> str:
    """``fields.h``: what the engine's C++ knows of bit fields and of the spike code."""
    formats = Formats(params)
    lines = ["// Written from stemcore.golden.spec: fields, spike_code.", "#pragma once"]
    lines += _spike_bits()
    lines += _defines("FLIT", formats.flit) + _defines("SPIKE", formats.spike)
    lines += [f"#define KIND_{kind.name} {int(kind)}" for kind in Kind]
    lines.append(f"#define KIND_ALERT {int(ALERT)}  // towards the host")
    lines += [f"#define AWAKE_{block.upper()}_POSITION {i}" for i, block in enumerate(BLOCKS)]
    lines.append(f"#define AWAKE_WIDTH {len(BLOCKS)}")
    macro = " ".join(f"MACRO({block}, AWAKE_{block.upper()}_POSITION)" for block in BLOCKS)
    lines.append(f"#define AWAKE_CLOCKS(MACRO) {macro}")
    return "\n".join(lines) + "\n"


def _spike_bits() -> list[str]:
    """The bit of a value that a spike stands for, by the train's bits and the time step."""
    rows = []
    for bits in range(ACTIVATION_WIDTH + 1):
        code = SpikeCode(bits, is_signed=False)
        masks = [code.threshold(t) if t < bits else 0 for t in range(ACTIVATION_WIDTH)]
        rows.append("{" + ", ".join(map(str, masks)) + "}")
    shape = f"[{len(rows)}][{ACTIVATION_WIDTH}]"
    return [f"constexpr unsigned char SPIKE_BIT{shape} = {{", ",\n".join(rows), "};"]


def _defines(prefix: str, fields: BitFields) -> list[str]:
    lines = []
    for field, position, width in fields:
        lines.append(f"#define {prefix}_{field.upper()}_POSITION {position}")
        lines.append(f"#define {prefix}_{field.upper()}_WIDTH {width}")
    return lines
