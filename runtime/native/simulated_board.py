# SPDX-License-Identifier: Apache-2.0
"""Boards that are not there: host side and nodes in simulation, at a port of this machine.

The board's top is not in it: PLL, reset until that has locked, pins and LEDs.
"""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from amaranth.lib import wiring

from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.export import component_verilog
from stemcore.hdl.host.uart_host import UartHost
from stemcore.hdl.host.window import MappedHost

from ..errors import EngineError
from ..host.ports import AXI
from ..toolchain.process import built_once, content_key
from ..toolchain.verilator import BuildOptions, verilate
from .build import build, sources_key

FOLDER = Path(__file__).parent
DIVISOR = 2  # cycles of a bit: the fewest, so that little time passes on the line


@contextmanager
def simulated_board(
    params: ChipParams,
    out_dir: Path,
    *,
    columns: int,
    rows: int,
    damage: int = 0,
    seed: int = 0,
    codec: CodecParams | None = None,
) -> Iterator[str]:
    """The name of a serial port behind which a chip of ``columns`` x ``rows`` nodes is at work.

    codec : sizes of the spike codec beside the port, where there is one
    damage : of a million bytes, in each direction, that are damaged, lost, doubled or added to
    """

    def host() -> wiring.Component:
        return UartHost(params=params, columns=columns, rows=rows, divisor=DIVISOR, codec=codec)

    sizes = (columns, rows, DIVISOR, *_codec_sizes(codec))
    program = _built(host, "uart_host", "board.cpp", params, out_dir, sizes)
    words = [program, build(params, out_dir), columns, rows, DIVISOR, damage, seed]
    with _running(words) as name:
        yield name


@contextmanager
def simulated_mapped_board(
    params: ChipParams,
    out_dir: Path,
    *,
    columns: int,
    rows: int,
    codec: CodecParams | None = None,
) -> Iterator[str]:
    """Likewise of a chip whose registers lie in memory: ``axi:`` and the name of a socket."""

    def host() -> wiring.Component:
        return MappedHost(params=params, columns=columns, rows=rows, codec=codec)

    sizes = (columns, rows, *_codec_sizes(codec))
    program = _built(host, "mapped_host", "mapped_board.cpp", params, out_dir, sizes)
    with tempfile.TemporaryDirectory() as folder:
        words = [program, build(params, out_dir), columns, rows, Path(folder) / "chip"]
        with _running(words) as name:
            yield AXI + name


def _codec_sizes(codec: CodecParams | None) -> tuple[int, ...]:
    return () if codec is None else astuple(codec)


def _built(
    host: Callable[[], wiring.Component],
    top: str,
    source: str,
    params: ChipParams,
    out_dir: Path,
    sizes: tuple[int, ...],
) -> Path:
    """The program of ``source`` for what ``host`` makes; its nodes are the native engine's."""
    key = content_key([], sources_key(), sorted(params.to_dict().items()), *sizes)
    with built_once(Path(out_dir).resolve(), top, key) as (folder, empty):
        if empty:
            (folder / f"{top}.v").write_text(component_verilog(host(), name=top))
    return verilate(
        [folder / f"{top}.v"],
        top=top,
        out_dir=Path(out_dir),
        cpp_sources=[FOLDER / source],
        depends=[FOLDER / "board.h"],
        name=Path(source).stem,
        options=BuildOptions(
            flags=["--x-assign", "fast", "--x-initial", "fast", "--noassert", "-O3"],
            cflags=["-std=c++20"],
            ldflags=["-ldl"],
        ),
    )


@contextmanager
def _running(words: list[object]) -> Iterator[str]:
    """What the program names first; it ends with its standard input."""
    with subprocess.Popen(
        [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            name = process.stdout.readline().strip()
            if not name:
                raise EngineError(f"{words[0]}: a port must be named, got nothing")
            yield name
        finally:
            process.stdin.close()
            process.wait(timeout=30)
