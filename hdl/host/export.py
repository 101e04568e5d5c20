# SPDX-License-Identifier: Apache-2.0
"""Verilog of a chip behind its host side, with the port names that block designs know."""

from amaranth.lib import wiring

from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.host_registers import ADDRESS_WIDTH, REGISTER_WIDTH
from stemcore.golden.spec.params import ChipParams

from ..export import component_verilog
from .axi import AxiLite, AxiStream
from .axi_host import AxiHost
from .uart_host import UartHost
from .window import MappedHost

# Of a bus in the Verilog: its prefix, the component's member, and whether that is a subordinate.
_Bus = tuple[str, str, bool]
_AXI_BUSES = (
    ("s_axil", "registers", True),
    ("s_axis", "i", True),
    ("m_axis", "o", False),
)
_MAPPED_BUSES = (("s_axil", "registers", True), ("s_axil_window", "window", True))


def axi_host_verilog(
    params: ChipParams,
    *,
    columns: int,
    rows: int,
    register_width: int = 32,
    stream_width: int = 64,
    codec: CodecParams | None = None,
) -> str:
    """Verilog of ``axi_chip`` and of its ``axi_host``; the module ``chip`` is ``chip_verilog``'s.

    ``s_axil`` (AXI4-Lite), ``s_axis`` and ``m_axis`` (AXI4-Stream) and ``interrupt`` belong to
    ``aclk`` and ``aresetn``; ``chip_clk`` is the chip's clock. Both clocks must run while
    ``aresetn`` is low, for 16 cycles of the slower one.
    """
    host = AxiHost(
        params=params,
        columns=columns,
        rows=rows,
        register_width=register_width,
        stream_width=stream_width,
        codec=codec,
    )
    signatures = (
        AxiLite(address_width=ADDRESS_WIDTH, data_width=register_width),
        AxiStream(data_width=stream_width),
        AxiStream(data_width=stream_width),
    )
    return _behind_buses(params, host, "axi", list(zip(_AXI_BUSES, signatures, strict=True)))


def mapped_host_verilog(
    params: ChipParams, *, columns: int, rows: int, codec: CodecParams | None = None
) -> str:
    """Verilog of ``mapped_chip`` and of its ``mapped_host``, for hosts without streams.

    Ports as of ``axi_chip``, but that ``s_axil_window`` (AXI4-Lite), the page of
    ``stemcore.golden.spec.host_window``, takes the place of both streams.
    """
    host = MappedHost(params=params, columns=columns, rows=rows, codec=codec)
    bus = AxiLite(address_width=ADDRESS_WIDTH, data_width=REGISTER_WIDTH)
    return _behind_buses(params, host, "mapped", [(names, bus) for names in _MAPPED_BUSES])


def uart_host_verilog(
    params: ChipParams,
    *,
    columns: int,
    rows: int,
    divisor: int,
    codec: CodecParams | None = None,
) -> str:
    """Verilog of ``uart_chip`` and of its ``uart_host``: a chip on a serial line.

    ``rx``, ``tx`` and ``interrupt`` belong to ``clk`` and ``rst`` (high); a bit lasts ``divisor``
    cycles of ``clk``. ``chip_clk`` is the chip's clock, and both must run during the reset, for 16
    cycles of the slower one.
    """
    host = UartHost(params=params, columns=columns, rows=rows, divisor=divisor, codec=codec)
    ports = ["input clk", "input rst", "input chip_clk", "input rx", "output tx"]
    pins = [".clk(clk)", ".rst(rst)", ".rx(rx)", ".tx(tx)"]
    return _with_chip(params, host, "uart", [*ports, "output interrupt"], pins)


def _behind_buses(
    params: ChipParams,
    host: wiring.Component,
    kind: str,
    buses: list[tuple[_Bus, wiring.Signature]],
) -> str:
    ports = ["input aclk", "input aresetn", "input chip_clk", "output interrupt"]
    for (prefix, _, _), signature in buses:
        if isinstance(signature, AxiLite):
            # Protection is not looked at: every access is permitted.
            ports += [f"input [2:0] {prefix}_awprot", f"input [2:0] {prefix}_arprot"]
    pins = [".clk(aclk)", ".rst(~aresetn)"]
    for (prefix, member, is_subordinate), signature in buses:
        for name, flow in signature.members.items():
            is_input = (flow.flow.name == "Out") == is_subordinate
            direction, width = "input" if is_input else "output", flow.shape
            bits = f"[{width - 1}:0] " if width > 1 else ""
            ports.append(f"{direction} {bits}{prefix}_{name}")
            pins.append(f".{member}_{name}({prefix}_{name})")
    return _with_chip(params, host, kind, ports, pins)


def _with_chip(
    params: ChipParams, host: wiring.Component, kind: str, ports: list[str], pins: list[str]
) -> str:
    """The modules of ``host``, called ``kind_host``, and ``kind_chip``, which joins it to ``chip``.

    ports : of ``kind_chip``, ``chip_clk`` and ``interrupt`` among them
    pins : of ``kind_host``, but for those two and the chip's
    """
    text = component_verilog(host, name=f"{kind}_host")
    flit_width = Formats(params).flit.width
    declared, connected = ",\n  ".join(ports), ",\n    ".join(pins)
    return f"""{text}
module {kind}_chip(
  {declared}
);
  wire chip_rst, chip_quiet;
  wire to_chip_valid, to_chip_ready, from_chip_valid, from_chip_ready;
  wire [{flit_width - 1}:0] to_chip_payload, from_chip_payload;
  {kind}_host host(
    .interrupt(interrupt),
    .chip_clk(chip_clk), .chip_rst(chip_rst), .chip_quiet(chip_quiet),
    .chip_i_valid(to_chip_valid), .chip_i_payload(to_chip_payload),
    .chip_i_ready(to_chip_ready), .chip_o_valid(from_chip_valid),
    .chip_o_payload(from_chip_payload), .chip_o_ready(from_chip_ready),
    {connected});
  chip chip(
    .clk(chip_clk), .rst(chip_rst), .quiet(chip_quiet),
    .host_i_valid(to_chip_valid), .host_i_payload(to_chip_payload), .host_i_ready(to_chip_ready),
    .host_o_valid(from_chip_valid), .host_o_payload(from_chip_payload),
    .host_o_ready(from_chip_ready));
endmodule
"""
