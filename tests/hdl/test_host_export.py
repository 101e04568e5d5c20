# SPDX-License-Identifier: Apache-2.0
"""Exported chips behind a serial line and behind registers in memory, as whole Verilog designs.

The module ``chip`` is one that sends back what it gets, so that a flit has gone both ways.
"""

import re
from pathlib import Path

import pytest

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.golden.spec.host_window import WINDOW_REGISTERS
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.uart_frames import (
    ACCESS,
    ANSWER,
    ANSWER_OKAY,
    Frame,
    FrameKind,
    FrameReader,
)
from stemcore.hdl.host.export import mapped_host_verilog, uart_host_verilog
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp

TINY = get_preset("tiny")
FLIT_WIDTH = Formats(TINY).flit.width
FLIT = 0x2ACE_1234_5678 & ((1 << FLIT_WIDTH) - 1)
DIVISOR = 8
PAUSE = 0x100  # in the place of a byte: wait for the answer
ECHO = f"""`timescale 1ns/1ps
module chip(
  input clk, input rst, output quiet,
  input host_i_valid, input [{FLIT_WIDTH - 1}:0] host_i_payload, output host_i_ready,
  output host_o_valid, output [{FLIT_WIDTH - 1}:0] host_o_payload, input host_o_ready
);
  assign quiet = 1'b1;
  assign host_o_valid = host_i_valid, host_o_payload = host_i_payload;
  assign host_i_ready = host_o_ready;
endmodule
"""
# The chip's clock has a period of its own.
CLOCKS = """`timescale 1ns/1ps
module bench;
  reg clk = 0, chip_clk = 0, rst = 1;
  always #5 clk = ~clk;
  always #7 chip_clk = ~chip_clk;
  initial begin #400 rst = 0; end
"""
UART_BENCH = """
  reg [8:0] line [0:{last}];
  reg rx = 1;
  wire tx, interrupt;
  integer i, bits, n;
  reg [7:0] got;
  uart_chip dut(.clk(clk), .rst(rst), .chip_clk(chip_clk), .rx(rx), .tx(tx),
                .interrupt(interrupt));
  initial begin
    $readmemh("line.hex", line);
    #1000;
    for (i = 0; i <= {last}; i = i + 1)
      if (line[i][8]) repeat ({divisor} * 400) @(negedge clk);
      else for (bits = 0; bits < 10; bits = bits + 1) begin
        rx = bits == 0 ? 0 : bits == 9 ? 1 : line[i][bits - 1];
        repeat ({divisor}) @(negedge clk);
      end
    $finish;
  end
  always begin
    @(negedge tx) repeat ({divisor} * 3 / 2) @(negedge clk);
    for (n = 0; n < 8; n = n + 1) begin
      got[n] = tx;
      repeat ({divisor}) @(negedge clk);
    end
    $display("byte=%h", got);
  end
endmodule
"""
MAPPED_BENCH = """
  reg [11:0] address = 0;
  reg [31:0] data = 0;
  reg [1:0] writes = 0, reads = 0;  // by bus: registers, window
  wire [1:0] awready, wready, bvalid, arready, rvalid;
  wire [1:0] bresp [0:1];
  wire [1:0] rresp [0:1];
  wire [31:0] rdata [0:1];
  wire interrupt;
  mapped_chip dut(
    .aclk(clk), .aresetn(~rst), .chip_clk(chip_clk), .interrupt(interrupt),
    {pins});
  task write(input integer bus, input [11:0] at, input [31:0] word);
    begin
      @(negedge clk) address = at; data = word; writes[bus] = 1;
      while (!(awready[bus] & wready[bus])) @(negedge clk);
      @(negedge clk) writes = 0;
      while (!bvalid[bus]) @(negedge clk);
      $display("bresp=%0d", bresp[bus]);
      @(negedge clk);
    end
  endtask
  task read(input integer bus, input [11:0] at);
    begin
      @(negedge clk) address = at; reads[bus] = 1;
      while (!arready[bus]) @(negedge clk);
      @(negedge clk) reads = 0;
      while (!rvalid[bus]) @(negedge clk);
      $display("rresp=%0d rdata=%h", rresp[bus], rdata[bus]);
      @(negedge clk);
    end
  endtask
  initial begin
    #1000;
{steps}
    $finish;
  end
endmodule
"""
PINS = (
    ".{p}_awprot(3'd0), .{p}_arprot(3'd0), .{p}_awvalid(writes[{n}]), .{p}_awready(awready[{n}]), "
    ".{p}_awaddr(address), .{p}_wvalid(writes[{n}]), .{p}_wready(wready[{n}]), .{p}_wdata(data), "
    ".{p}_wstrb(4'hf), .{p}_bvalid(bvalid[{n}]), .{p}_bready(1'b1), .{p}_bresp(bresp[{n}]), "
    ".{p}_arvalid(reads[{n}]), .{p}_arready(arready[{n}]), .{p}_araddr(address), "
    ".{p}_rvalid(rvalid[{n}]), .{p}_rready(1'b1), .{p}_rdata(rdata[{n}]), .{p}_rresp(rresp[{n}])"
)


def output(folder: Path, design: str, bench: str) -> str:
    texts = {"echo.v": ECHO, "host.v": design, "bench.v": CLOCKS + bench}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return run_vvp(
        compile_verilog([folder / name for name in texts], top="bench", out_dir=folder), cwd=folder
    )


@pytest.mark.sim
@pytest.mark.slow
def test_a_chip_on_a_serial_line_answers_frames_and_passes_flits(tmp_path):
    address = HOST_REGISTERS["IDENTITY"].offset
    access = ACCESS.pack(address=address, data=0).to_bytes(8, "little")
    frames = [
        Frame(FrameKind.CONNECT, session=5),
        Frame(FrameKind.READ, session=5, payload=access, sequence=3),
        Frame(FrameKind.FLITS, session=5, payload=FLIT.to_bytes(8, "little")),
        Frame(FrameKind.FLITS, session=5, sequence=1),
    ]
    line = [word for frame in frames for word in [*frame.to_bytes(), PAUSE]]
    (tmp_path / "line.hex").write_text("".join(f"{word:03x}\n" for word in line))
    design = uart_host_verilog(TINY, columns=1, rows=1, divisor=DIVISOR)
    assert not re.search(r"\b_signal(_\d+)?\b", design)  # each has a name
    bench = UART_BENCH.format(last=len(line) - 1, divisor=DIVISOR)
    text = bytes(
        int(byte, 16) for byte in re.findall(r"byte=(\w\w)", output(tmp_path, design, bench))
    )
    reader = FrameReader()
    answers = list(reader.read(text))
    assert reader.n_damaged == 0
    # Frames of flits come by themselves, too, and what is not acknowledged comes again.
    assert answers[0].kind == FrameKind.CONNECT
    (found,) = [answer for answer in answers if answer.kind == FrameKind.READ]
    answer = ANSWER.unpack(int.from_bytes(found.payload, "little"))
    assert (found.sequence, answer) == (3, {"response": ANSWER_OKAY, "data": IDENTITY})
    of_flits = [answer for answer in answers if answer.kind == FrameKind.FLITS]
    flits = {answer.sequence: answer.flits() for answer in of_flits}
    assert [flit for _, flits in sorted(flits.items()) for flit in flits] == [FLIT]
    assert answers[-1].acknowledged == 1


@pytest.mark.sim
@pytest.mark.slow
def test_a_chip_in_memory_has_its_registers_and_passes_flits(tmp_path):
    window = {name: register.offset for name, register in WINDOW_REGISTERS.items()}
    steps = [
        f"read(0, {HOST_REGISTERS['IDENTITY'].offset});",
        f"write(1, {window['FLIT_LOW']}, {FLIT & 0xFFFFFFFF});",
        f"write(1, {window['FLIT_HIGH']}, {FLIT >> 32});",
        f"write(1, {window['SEND']}, 1);",
        "#2000;",
        f"read(1, {window['HEAD_LOW']});",
        f"read(1, {window['HEAD_HIGH']});",
        f"write(1, {window['TAKE']}, 1);",
    ]
    pins = ",\n    ".join(
        PINS.format(p=prefix, n=bus) for bus, prefix in enumerate(("s_axil", "s_axil_window"))
    )
    bench = MAPPED_BENCH.format(pins=pins, steps="\n".join(f"    {step}" for step in steps))
    text = output(tmp_path, mapped_host_verilog(TINY, columns=1, rows=1), bench)
    assert re.findall(r"bresp=(\d)", text) == ["0"] * 4
    words = [int(word, 16) for word in re.findall(r"rresp=0 rdata=(\w+)", text)]
    assert words == [IDENTITY, FLIT & 0xFFFFFFFF, FLIT >> 32]
