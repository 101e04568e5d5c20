# SPDX-License-Identifier: Apache-2.0
"""Files of a chip behind a host side, beside the Verilog of the chip."""

from dataclasses import dataclass
from pathlib import Path

from stemcore.golden.spec.host_window import WINDOW_PAGE, WINDOW_REGISTERS
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.host.board_top import MIN_DIVISOR
from stemcore.hdl.host.export import axi_host_verilog, mapped_host_verilog, uart_host_verilog

from .c_header import c_header
from .templates_text import filled

REGISTERS = "stemcore_registers.h"


@dataclass(frozen=True)
class HostSides:
    """Which host sides are written.

    axi : bits of the streams of ``axi_chip``, 32 or 64; None: not written
    uart : cycles of the clock for each bit on the line of ``uart_chip``; None: not written
    mapped : whether ``mapped_chip`` is written, registers and flits in memory
    """

    axi: int | None = None
    uart: int | None = None
    mapped: bool = False

    def __post_init__(self) -> None:
        if self.uart is not None and self.uart < MIN_DIVISOR:
            raise ValueError(
                f"uart: a bit must last {MIN_DIVISOR} cycles of the clock or more, got "
                f"{self.uart}; divide the clock in Hz by the baud rate"
            )

    def write(self, folder: Path, params: ChipParams, *, columns: int, rows: int) -> None:
        """Verilog, the registers' C header, and what README.txt and PORTS.txt say of both."""
        readme, ports = "", ""
        if self.axi is not None:
            text = axi_host_verilog(params, columns=columns, rows=rows, stream_width=self.axi)
            (folder / "axi_chip.v").write_text(text)
            readme += (
                f"  axi_chip.v    chip.v behind AXI4-Lite registers and AXI4-Streams of {self.axi} "
                "bits; the bench does not use it\n"
            )
            ports += filled("PORTS-axi.txt", stream_width=self.axi)
        if self.uart is not None:
            text = uart_host_verilog(params, columns=columns, rows=rows, divisor=self.uart)
            (folder / "uart_chip.v").write_text(text)
            readme += (
                f"  uart_chip.v   chip.v behind a serial line, {self.uart} cycles of its clock a "
                "bit; the bench does not use it\n"
            )
            ports += filled("PORTS-uart.txt", divisor=self.uart)
        if self.mapped:
            text = mapped_host_verilog(params, columns=columns, rows=rows)
            (folder / "mapped_chip.v").write_text(text)
            readme += (
                "  mapped_chip.v  chip.v behind two pages of AXI4-Lite registers, one of them for "
                "flits; the bench does not use it\n"
            )
            ports += filled("PORTS-mapped.txt", page=WINDOW_PAGE, window=_window())
        if readme:
            (folder / REGISTERS).write_text(c_header())
            readme += f"  {REGISTERS}  the host side's registers, for C\n"
        for name, more in (("README.txt", readme), ("PORTS.txt", ports)):
            with (folder / name).open("a") as file:
                file.write(more)


def _window() -> str:
    return "\n".join(
        f"                        {register.offset:#04x}  {name:9s}  {register.meaning}"
        for name, register in WINDOW_REGISTERS.items()
    )


NO_SIDES = HostSides()
