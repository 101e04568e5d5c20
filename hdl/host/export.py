# SPDX-License-Identifier: Apache-2.0
"""Verilog of a chip behind AXI, with the port names that block designs know."""

from stemcore.golden.spec.host_registers import ADDRESS_WIDTH
from stemcore.golden.spec.params import ChipParams

from ..export import component_verilog
from .axi import AxiLite, AxiStream
from .axi_host import AxiHost

# Bus of the Verilog: its prefix, the member of AxiHost, and whether that is a subordinate.
_BUSES = (
    ("s_axil", "registers", True),
    ("s_axis", "i", True),
    ("m_axis", "o", False),
)


def axi_host_verilog(
    params: ChipParams, *, columns: int, rows: int, register_width: int = 32, stream_width: int = 64
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
    )
    text = component_verilog(host, name="axi_host")
    signatures = (
        AxiLite(address_width=ADDRESS_WIDTH, data_width=register_width),
        AxiStream(data_width=stream_width),
        AxiStream(data_width=stream_width),
    )
    ports = [
        "input aclk",
        "input aresetn",
        "input chip_clk",
        "output interrupt",
        # Protection is not looked at: every access is permitted.
        "input [2:0] s_axil_awprot",
        "input [2:0] s_axil_arprot",
    ]
    pins = []
    for (prefix, member, is_subordinate), signature in zip(_BUSES, signatures, strict=True):
        for name, flow in signature.members.items():
            is_input = (flow.flow.name == "Out") == is_subordinate
            direction, width = "input" if is_input else "output", flow.shape
            bits = f"[{width - 1}:0] " if width > 1 else ""
            ports.append(f"{direction} {bits}{prefix}_{name}")
            pins.append(f".{member}_{name}({prefix}_{name})")
    flit_width = len(host.chip_i.payload.as_value())
    declared, connected = ",\n  ".join(ports), ",\n    ".join(pins)
    return f"""{text}
module axi_chip(
  {declared}
);
  wire chip_rst, chip_quiet;
  wire to_chip_valid, to_chip_ready, from_chip_valid, from_chip_ready;
  wire [{flit_width - 1}:0] to_chip_payload, from_chip_payload;
  axi_host host(
    .clk(aclk), .rst(~aresetn), .interrupt(interrupt),
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
