# SPDX-License-Identifier: Apache-2.0
"""A board that is not there: its whole gateware in simulation, behind a pseudo-terminal."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.export import component_verilog
from stemcore.hdl.host.uart_host import UartHost

from ..errors import EngineError
from ..toolchain.process import built_once, content_key
from ..toolchain.verilator import BuildOptions, verilate
from .build import build, sources_key

SOURCE = Path(__file__).parent / "board.cpp"
DIVISOR = 2  # cycles of a bit: the fewest, so that little time passes on the line


def build_board(
    params: ChipParams, out_dir: Path, *, columns: int, rows: int, divisor: int = DIVISOR
) -> Path:
    """The program of ``board.cpp`` for a host side; its nodes are those of the native engine."""
    key = content_key([], sources_key(), sorted(params.to_dict().items()), columns, rows, divisor)
    with built_once(Path(out_dir).resolve(), "uart_host", key) as (folder, empty):
        if empty:
            host = UartHost(params=params, columns=columns, rows=rows, divisor=divisor)
            (folder / "uart_host.v").write_text(component_verilog(host, name="uart_host"))
    return verilate(
        [folder / "uart_host.v"],
        top="uart_host",
        out_dir=Path(out_dir),
        cpp_sources=[SOURCE],
        name="board",
        options=BuildOptions(
            flags=["--x-assign", "fast", "--x-initial", "fast", "--noassert", "-O3"],
            cflags=["-std=c++20"],
            ldflags=["-ldl"],
        ),
    )


@contextmanager
def simulated_board(
    params: ChipParams,
    out_dir: Path,
    *,
    columns: int,
    rows: int,
    damage: int = 0,
    seed: int = 0,
) -> Iterator[str]:
    """The name of a serial port behind which a chip of ``columns`` x ``rows`` nodes is at work.

    damage : of a million bytes, in each direction, that are damaged, lost, doubled or added to
    """
    size = {"columns": columns, "rows": rows}
    program = build_board(params, out_dir, **size)
    library = build(params, out_dir)
    words = [program, library, columns, rows, DIVISOR, damage, seed]
    with subprocess.Popen(
        [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            name = process.stdout.readline().strip()
            if not name:
                raise EngineError(f"{program}: a terminal must be named, got nothing")
            yield name
        finally:
            process.stdin.close()
            process.wait(timeout=30)
