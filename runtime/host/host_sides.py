# SPDX-License-Identifier: Apache-2.0
"""Files of a chip behind a host side, beside the Verilog of the chip."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.program.program import Program
from stemcore.golden.spec.codec import WORD_BYTES, CodecParams
from stemcore.golden.spec.host_window import WINDOW_PAGE, WINDOW_REGISTERS
from stemcore.hdl.host.board_top import MIN_DIVISOR
from stemcore.hdl.host.export import axi_host_verilog, mapped_host_verilog, uart_host_verilog

from .c_header import c_header
from .codec_tables import codec_tables, encode_sample
from .flits import Host
from .hex_file import write_hex
from .templates_text import filled

REGISTERS = "stemcore_registers.h"


@dataclass(frozen=True)
class HostSides:
    """Which host sides are written.

    axi : bits of the streams of ``axi_chip``, 32 or 64; None: not written
    uart : cycles of the clock for each bit on the line of ``uart_chip``; None: not written
    mapped : whether ``mapped_chip`` is written, registers and flits in memory
    codec : sizes of the spike codec that each of them has; None: they have none
    """

    axi: int | None = None
    uart: int | None = None
    mapped: bool = False
    codec: CodecParams | None = None

    def __post_init__(self) -> None:
        if self.uart is not None and self.uart < MIN_DIVISOR:
            raise ValueError(
                f"uart: a bit must last {MIN_DIVISOR} cycles of the clock or more, got "
                f"{self.uart}; divide the clock in Hz by the baud rate"
            )
        if self.codec is not None and self.axi is None and self.uart is None and not self.mapped:
            raise ValueError(
                "codec: must lie in a host side, none came; ask for AXI (--axi), UART (--uart) or "
                "MAPPED (--mapped) too"
            )

    def write(self, folder: Path, program: Program, images: NDArray[np.integer]) -> None:
        """Verilog, the registers' C header, and what README.txt and PORTS.txt say of both.

        With a codec also what is sent to it: its tables, and the images. ``ValueError`` where it
        has no room for ``program``.
        """
        params = program.params
        size = {"columns": program.columns, "rows": program.rows}
        readme, ports = "", ""
        if self.axi is not None:
            text = axi_host_verilog(params, **size, stream_width=self.axi, codec=self.codec)
            (folder / "axi_chip.v").write_text(text)
            readme += (
                f"  axi_chip.v    chip.v behind AXI4-Lite registers and AXI4-Streams of {self.axi} "
                "bits; the bench does not use it\n"
            )
            ports += filled("PORTS-axi.txt", stream_width=self.axi)
        if self.uart is not None:
            text = uart_host_verilog(params, **size, divisor=self.uart, codec=self.codec)
            (folder / "uart_chip.v").write_text(text)
            readme += (
                f"  uart_chip.v   chip.v behind a serial line, {self.uart} cycles of its clock a "
                "bit; the bench does not use it\n"
            )
            ports += filled("PORTS-uart.txt", divisor=self.uart)
        if self.mapped:
            text = mapped_host_verilog(params, **size, codec=self.codec)
            (folder / "mapped_chip.v").write_text(text)
            readme += (
                "  mapped_chip.v  chip.v behind two pages of AXI4-Lite registers, one of them for "
                "flits; the bench does not use it\n"
            )
            ports += filled("PORTS-mapped.txt", page=WINDOW_PAGE, window=_window())
        if self.codec is not None:
            about, how = _write_codec(folder, program, images, self.codec)
            readme, ports = readme + about, ports + how
        if readme:
            (folder / REGISTERS).write_text(c_header())
            readme += f"  {REGISTERS}  the host side's registers, for C\n"
        for name, more in (("README.txt", readme), ("PORTS.txt", ports)):
            with (folder / name).open("a") as file:
                file.write(more)


def _write_codec(
    folder: Path, program: Program, images: NDArray[np.integer], codec: CodecParams
) -> tuple[str, str]:
    """Tables and images for the codec; what README.txt and PORTS.txt say of it."""
    tables, digits = codec_tables(program, codec), 2 * WORD_BYTES
    samples = [
        (f"image {n}", encode_sample(program, tables, image)) for n, image in enumerate(images)
    ]
    written = [("tables of the codec", tables.configuration(Host(program)))]
    n_tables = write_hex(folder / "codec.hex", written, digits)
    n_samples = write_hex(folder / "codec_image.hex", samples, digits)
    return (
        filled("README-codec.txt", n_tables=n_tables, n_samples=n_samples),
        filled("PORTS-codec.txt", words_out=1 + tables.words_out),
    )


def _window() -> str:
    return "\n".join(
        f"                        {register.offset:#04x}  {name:9s}  {register.meaning}"
        for name, register in WINDOW_REGISTERS.items()
    )


NO_SIDES = HostSides()
