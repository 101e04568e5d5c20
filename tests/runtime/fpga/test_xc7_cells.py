# SPDX-License-Identifier: Apache-2.0
"""The simulation models of 7 series' block RAMs, against one of bytes of nine bits."""

import re

import pytest

from stemcore.runtime.fpga.cell_models import XC7_CELLS
from stemcore.runtime.toolchain import ToolError
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp

# Cell, mode, widths: A reads, A writes, B reads, B writes; what a written port reads.
CASES = [
    ("RAMB18E1", "TDP", 18, 18, 18, 18, "READ_FIRST"),
    ("RAMB18E1", "TDP", 9, 9, 18, 0, "WRITE_FIRST"),
    ("RAMB18E1", "TDP", 4, 4, 1, 1, "NO_CHANGE"),
    ("RAMB18E1", "TDP", 2, 2, 9, 9, "WRITE_FIRST"),
    ("RAMB18E1", "SDP", 36, 0, 0, 36, "READ_FIRST"),
    ("RAMB18E1", "SDP", 9, 0, 0, 36, "READ_FIRST"),
    ("RAMB36E1", "TDP", 36, 36, 18, 18, "WRITE_FIRST"),
    ("RAMB36E1", "TDP", 36, 9, 36, 36, "NO_CHANGE"),
    ("RAMB36E1", "SDP", 72, 0, 0, 72, "READ_FIRST"),
    ("RAMB36E1", "SDP", 36, 0, 0, 72, "WRITE_FIRST"),
    ("RAMB36E1", "SDP", 72, 0, 0, 18, "READ_FIRST"),
]
INIT_A, INIT_B, SRVAL_A, SRVAL_B = 0x2A5C3, 0x1F00D, 0x3C0DE, 0x0BEEF
# Bits of a step, from the top: two addresses, data and parity of both ports, then controls.
STEP = (15, 15, 32, 32, 4, 4, 8, 1, 1, 1, 1)
BENCH = """`timescale 1ns/1ps
module bench;
  reg clk = 0;
  reg [14:0] ad_a, ad_b;
  reg [31:0] di_a, di_b;
  reg [3:0] dip_a, dip_b;
  reg [7:0] we;
  reg en_a, en_b, rst_a, rst_b;
  reg [{top}:0] steps [0:{last}];
  integer i;
{instances}
  initial begin
    $readmemh("steps.hex", steps);
    for (i = 0; i <= {last}; i = i + 1) begin
      {{ad_a, ad_b, di_a, di_b, dip_a, dip_b, we, en_a, en_b, rst_a, rst_b}} = steps[i];
      #1 clk = 1;
      #1 $display("{formats}", {outputs});
      clk = 0;
    end
    $finish;
  end
endmodule
"""


def pin_bytes(data, parity, n):
    """A word of ``n`` bytes of nine bits, of a cell's pins."""
    return sum(((parity >> k & 1) << 8 | data >> 8 * k & 255) << 9 * k for k in range(n))


class BlockRam:
    """One cell of ``CASES``; ``n`` bytes wide at each port."""

    def __init__(self, cell, mode, read_a, write_a, read_b, write_b, write_mode, inits):
        self.n = 2 if cell == "RAMB18E1" else 4
        self.is_sdp, self.mode = mode == "SDP", write_mode
        self.reads, self.writes = (read_a, read_b), (write_a, write_b)
        data, parity = inits
        self.bytes = [data >> 8 * k & 255 | (parity >> k & 1) << 8 for k in range(1024 * self.n)]
        self.latch = [self._value(port, (INIT_A, INIT_B)) for port in (0, 1)]

    def _value(self, port, values):
        """A parameter's value: parity is above the data, and a wide word is two ports'."""
        width = self.reads[port]
        if width < 9:
            return values[port] & (1 << width) - 1
        n = min(width // 9, self.n)
        words = [pin_bytes(value, value >> 8 * n, n) for value in values]
        return words[0] | words[1] << 9 * n if width > 9 * self.n else words[port]

    def _read(self, cells, width, at):
        if not width:
            return 0
        if width < 9:
            return cells[at >> 3] >> (at & 7) // width * width & (1 << width) - 1
        n = width // 9
        first = (at >> 3) // n * n
        return sum(cells[first + k] << 9 * k for k in range(n))

    def _written(self, width, at, word, enables):
        cells = list(self.bytes)
        if width and width < 9:
            if enables & 1:
                place, mask = (at & 7) // width * width, (1 << width) - 1
                cells[at >> 3] = cells[at >> 3] & ~(mask << place) | (word & mask) << place
        elif width:
            n = width // 9
            first = (at >> 3) // n * n
            for k in range(n):
                if enables >> k & 1:
                    cells[first + k] = word >> 9 * k & 511
        return cells

    def step(self, ad_a, ad_b, di_a, di_b, dip_a, dip_b, we, *controls):
        """One edge of the clock; returns the bytes at A's and at B's outputs."""
        bits = 14 if self.n == 2 else 15
        at = [address & (1 << bits) - 1 for address in (ad_a, ad_b)]
        words = [pin_bytes(di_a, dip_a, self.n), pin_bytes(di_b, dip_b, self.n)]
        if self.writes[1] > 9 * self.n:
            words[1] = words[0] | words[1] << 9 * self.n
        before, changes = self.bytes, []
        for port in (0, 1):
            enable, reset = controls[port], controls[2 + port]
            if not enable:
                continue
            enables = we & (1 << (2 * self.n if port and self.is_sdp else self.n)) - 1
            if not self.is_sdp:
                enables = self.enables(port, we)
            after = self._written(self.writes[port], at[port], words[port], enables)
            changes.append(after)
            if reset:
                self.latch[port] = self._value(port, (SRVAL_A, SRVAL_B))
            elif not (self.writes[port] and enables) or self.mode != "NO_CHANGE":
                cells = after if self.mode == "WRITE_FIRST" else before
                self.latch[port] = self._read(cells, self.reads[port], at[port])
        for after in changes:
            self.bytes = [
                new if new != old else kept
                for new, old, kept in zip(after, before, self.bytes, strict=True)
            ]
        if self.reads[0] > 9 * self.n:
            mask = (1 << 9 * self.n) - 1
            return self.latch[0] & mask, self.latch[0] >> 9 * self.n
        return tuple(self.latch)

    def enables(self, port, we):
        """Of a true dual port: A's in the lower half of the byte, B's in the upper."""
        return we >> 4 * port & (1 << self.n) - 1


def instance(number, case, inits):
    cell, mode, read_a, write_a, read_b, write_b, write_mode = case
    n = 2 if cell == "RAMB18E1" else 4
    data, parity = inits
    values = [f".INIT_00(256'h{data:x}), .INITP_00(256'h{parity:x})"]
    values += [f'.RAM_MODE("{mode}"), .READ_WIDTH_A({read_a}), .READ_WIDTH_B({read_b})']
    values += [f".WRITE_WIDTH_A({write_a}), .WRITE_WIDTH_B({write_b})"]
    values += [f'.WRITE_MODE_{port}("{write_mode}")' for port in "AB"]
    values += [f".INIT_A({9 * n}'h{INIT_A:x}), .INIT_B({9 * n}'h{INIT_B:x})"]
    values += [f".SRVAL_A({9 * n}'h{SRVAL_A:x}), .SRVAL_B({9 * n}'h{SRVAL_B:x})"]
    high = 8 * n - 1
    # The top bit of the larger cell's addresses is for cascades alone.
    at = [f"{a}[13:0]" if n == 2 else f"{{1'b1, {a}}}" for a in ("ad_a", "ad_b")]
    enables = (
        f".WEA({n}'h0), .WEBWE(we[{2 * n - 1}:0])"
        if mode == "SDP"
        else f".WEA(we[{n - 1}:0]), .WEBWE({{{n}'h0, we[{n + 3}:4]}})"
    )
    pins = [
        ".CLKARDCLK(clk), .CLKBWRCLK(clk), .ENARDEN(en_a), .ENBWREN(en_b)",
        ".RSTRAMARSTRAM(rst_a), .RSTRAMB(rst_b), .REGCEAREGCE(1'b0), .REGCEB(1'b0)",
        f".ADDRARDADDR({at[0]}), .ADDRBWRADDR({at[1]})",
        f".DIADI(di_a[{high}:0]), .DIBDI(di_b[{high}:0])",
        f".DIPADIP(dip_a[{n - 1}:0]), .DIPBDIP(dip_b[{n - 1}:0]), {enables}",
        f".DOADO(a{number}), .DOBDO(b{number}), .DOPADOP(p{number}), .DOPBDOP(q{number})",
    ]
    return (
        f"  wire [{high}:0] a{number}, b{number};\n  wire [{n - 1}:0] p{number}, q{number};\n"
        f"  {cell} #({', '.join(values)}) ram{number}({', '.join(pins)});"
    )


def random_steps(rng, n_steps):
    """Few bytes at the memories' ends; where one port writes, the other rests."""
    steps = []
    for n in range(n_steps):
        at = [
            int(row) << 3 | int(bit)
            for row, bit in zip(
                rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 2046, 2047, 4094, 4095], size=2),
                rng.integers(8, size=2),
                strict=True,
            )
        ]
        data = [int(word) for word in rng.integers(1 << 32, size=2)]
        parity = [int(word) for word in rng.integers(16, size=2)]
        we = int(rng.integers(256)) if rng.integers(2) else 0
        en_a, en_b = (int(bit) for bit in rng.integers(2, size=2))
        if we:  # of a true dual port, both may write
            en_a, en_b = (1, 0) if n % 2 else (0, 1)
        rst = [int(value == 0) for value in rng.integers(20, size=2)]
        steps.append((*at, *data, *parity, we, en_a, en_b, *rst))
    return steps


@pytest.mark.sim
def test_block_rams_of_every_mode(tmp_path, rng):
    steps = random_steps(rng, 300)
    inits = (
        int.from_bytes(rng.bytes(32), "little"),
        int.from_bytes(rng.bytes(32), "little"),
    )
    lines = []
    for step in steps:
        word = 0
        for value, width in zip(step, STEP, strict=True):
            word = word << width | value
        lines.append(f"{word:x}\n")
    (tmp_path / "steps.hex").write_text("".join(lines))
    (tmp_path / "bench.v").write_text(
        BENCH.format(
            top=sum(STEP) - 1,
            last=len(steps) - 1,
            instances="\n".join(instance(n, case, inits) for n, case in enumerate(CASES)),
            formats=" ".join(["%h"] * 4 * len(CASES)),
            outputs=", ".join(f"a{n}, p{n}, b{n}, q{n}" for n in range(len(CASES))),
        )
    )
    sources = [tmp_path / "bench.v", XC7_CELLS.own_file]
    program = compile_verilog(sources, top="bench", out_dir=tmp_path)
    shown = [line.split() for line in run_vvp(program, cwd=tmp_path).splitlines()]
    shown = [words for words in shown if len(words) == 4 * len(CASES)]
    assert len(shown) == len(steps)
    models = [BlockRam(*case, inits) for case in CASES]
    for n, (step, words) in enumerate(zip(steps, shown, strict=True)):
        values = [int(word, 16) for word in words]
        for number, (case, model) in enumerate(zip(CASES, models, strict=True)):
            data_a, parity_a, data_b, parity_b = values[4 * number : 4 * number + 4]
            got = pin_bytes(data_a, parity_a, model.n), pin_bytes(data_b, parity_b, model.n)
            assert got == model.step(*step), (n, case, step)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("cell", "parameter", "message"),
    [
        ("RAMB18E1", ".READ_WIDTH_A(3)", "widths must be 0, 1, 2, 4, 9 or more"),
        ("RAMB18E1", ".READ_WIDTH_A(36)", "widths must be 0, 1, 2, 4, 9 or more"),
        ("RAMB18E1", '.RAM_MODE("SDP"), .READ_WIDTH_B(9)', "as SDP, port A must read"),
        ("RAMB18E1", ".DOA_REG(1)", "must be without output registers"),
        ("RAMB18E1", ".IS_CLKARDCLK_INVERTED(1'b1)", "clocks must not be inverted"),
        ("RAMB36E1", '.RAM_EXTENSION_A("LOWER")', "must not be cascaded"),
        ("RAMB36E1", '.EN_ECC_READ("TRUE")', "must be without error correction"),
    ],
)
def test_a_way_of_use_beyond_the_model_ends_the_simulation(tmp_path, cell, parameter, message):
    bench = tmp_path / "bench.v"
    bench.write_text(f"module bench;\n  {cell} #({parameter}) ram();\nendmodule\n")
    sources = [bench, XC7_CELLS.own_file]
    program = compile_verilog(sources, top="bench", out_dir=tmp_path)
    with pytest.raises(ToolError) as error:
        run_vvp(program)
    assert re.search(rf"bench\.ram.*: {re.escape(message)}", error.value.output)
