# SPDX-License-Identifier: Apache-2.0
"""The simulation models of the ECP5's block RAM and of the register behind a multiplier."""

import itertools
import re

import pytest

from stemcore.runtime.fpga.cell_models import ECP5_CELLS
from stemcore.runtime.toolchain import ToolError
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp

MODELS = ECP5_CELLS.own_files
PORT_WIDTH = 18
ROWS = 1024
INIT_ROWS = (0, 1008)  # where the parameters INITVAL_00 and INITVAL_3F begin
# Widths of port A, which writes, and of port B, which reads.
WIDTHS = [*((w, w) for w in (1, 2, 4, 9, 18, 36)), (9, 18), (18, 9), (36, 9), (36, 18), (1, 18)]
MODES = ("NORMAL", "WRITETHROUGH", "READBEFOREWRITE")
CASES = [
    (*widths, register, MODES[n % 3])
    for n, (widths, register) in enumerate(itertools.product(WIDTHS, ("NOREG", "OUTREG")))
]
BENCH = """`timescale 1ns/1ps
module bench;
  reg clk = 0;
  reg [13:0] ad_a, ad_b;
  reg [35:0] di;
  reg we, ce_a, ce_b, oce_a, oce_b, rst_a, rst_b;
  reg [70:0] steps [0:{last}];
  integer i;
{instances}
  initial begin
    $readmemh("steps.hex", steps);
    for (i = 0; i <= {last}; i = i + 1) begin
      {{ad_a, ad_b, di, we, ce_a, ce_b, oce_a, oce_b, rst_a, rst_b}} = steps[i];
      #1 clk = 1;
      #1 $display("{formats}", {outputs});
      clk = 0;
    end
    $finish;
  end
endmodule
"""


class BlockRam:
    """Bytes of nine bits, and for each port what was read last, and its register."""

    def __init__(self, width_a, width_b, register, mode, rows):
        self.widths = {"a": width_a, "b": width_b}
        self.registered, self.mode = register == "OUTREG", mode
        self.bytes = [row >> 9 * half & 511 for row in rows for half in (0, 1)]
        self.latch, self.register = {"a": 0, "b": 0}, {"a": 0, "b": 0}

    def read(self, port, address):
        width = self.widths[port]
        if width < 9:
            first = address & 7 & -width
            return self.bytes[address >> 3] >> first & (1 << width) - 1
        n = width // 9
        start = (address >> 3) // n * n
        return sum(self.bytes[start + k] << 9 * k for k in range(n))

    def write(self, address, word):
        width = self.widths["a"]
        if width < 9:
            first, mask = address & 7 & -width, (1 << width) - 1
            kept = self.bytes[address >> 3] & ~(mask << first)
            self.bytes[address >> 3] = kept | (word & mask) << first
            return
        n = width // 9
        start = (address >> 3) // n * n
        for k in range(n):
            if n == 1 or address >> k & 1:  # a byte enable
                self.bytes[start + k] = word >> 9 * k & 511

    def step(self, ad_a, ad_b, di, we, ce_a, ce_b, *controls):
        """One edge of the clock; returns what both ports give after it.

        controls : of ports A and B, enables of their registers, then resets
        """
        ports = dict(zip("ab", zip(controls[:2], controls[2:], strict=True), strict=True))
        for port, (enable, _) in ports.items():
            if enable:
                self.register[port] = self.latch[port]
        if ce_a and we:
            before = self.read("a", ad_a)
            self.write(ad_a, di)
            if self.mode != "NORMAL":
                self.latch["a"] = before if self.mode[0] == "R" else self.read("a", ad_a)
        elif ce_a:
            self.latch["a"] = self.read("a", ad_a)
        if ce_b:
            self.latch["b"] = self.read("b", ad_b)
        for port, (_, reset) in ports.items():
            if reset:
                self.latch[port] = self.register[port] = 0
        return dict(self.register if self.registered else self.latch)


def instance(number, case, inits):
    """Port A has the lower half of ``di``, port B, for words of 36 bits, the upper."""
    width_a, width_b, register, mode = case
    pins = [f".DI{p}{k}(di[{k + at}])" for p, at in (("A", 0), ("B", 18)) for k in range(18)]
    pins += [f".AD{p}{k}(ad_{p.lower()}[{k}])" for p in "AB" for k in range(14)]
    pins += [
        f".DO{p}{k}(o{number}[{k + at}])" for p, at in (("A", 0), ("B", 18)) for k in range(18)
    ]
    pins += [f".CLK{p}(clk), .OCE{p}(oce_{p.lower()}), .RST{p}(rst_{p.lower()})" for p in "AB"]
    pins += [".CEA(ce_a), .CEB(ce_b), .WEA(we), .WEB(1'b0)"]
    pins += [f".CS{p}{k}(1'b0)" for p in "AB" for k in range(3)]
    values = ", ".join(
        f".INITVAL_{name}(320'h{init:x})" for name, init in zip(("00", "3F"), inits, strict=True)
    )
    return (
        f"  wire [35:0] o{number};\n  DP16KD #(.DATA_WIDTH_A({width_a}), .DATA_WIDTH_B({width_b}), "
        f'.REGMODE_A("{register}"), .REGMODE_B("{register}"), .WRITEMODE_A("{mode}"), {values}) '
        f"ram{number}({', '.join(pins)});"
    )


def random_steps(rng, n_steps):
    """Words and single bits of few rows at both ends; port B never reads while A writes, since no
    document says what it would get.
    """
    steps = []
    for _ in range(n_steps):
        we, ce_a, ce_b, *oce = (int(bit) for bit in rng.integers(2, size=5))
        rows = rng.choice([0, 1, 2, 3, 1020, 1021, 1022, 1023], size=2)
        low = rng.integers(16, size=2)
        ad_a, ad_b = (int(row) << 4 | int(bits) for row, bits in zip(rows, low, strict=True))
        di, rst = int(rng.integers(1 << 36)), [int(n == 0) for n in rng.integers(20, size=2)]
        steps.append((ad_a, ad_b, di, we, ce_a, ce_b & ~(we & ce_a), *oce, *rst))
    return steps


@pytest.mark.sim
@pytest.mark.slow
def test_block_ram_of_every_width_with_and_without_its_output_register(tmp_path, rng):
    steps = random_steps(rng, 400)
    rows = [0] * ROWS
    inits = []
    for start in INIT_ROWS:
        words = [int(word) for word in rng.integers(1 << PORT_WIDTH, size=16)]
        rows[start : start + 16] = words
        inits.append(sum(word << 20 * n for n, word in enumerate(words)))
    words = []
    for ad_a, ad_b, di, *bits in steps:
        word = (ad_a << 14 | ad_b) << 36 | di
        for bit in bits:
            word = word << 1 | bit
        words.append(word)
    (tmp_path / "steps.hex").write_text("".join(f"{word:x}\n" for word in words))
    (tmp_path / "bench.v").write_text(
        BENCH.format(
            last=len(steps) - 1,
            instances="\n".join(instance(n, case, inits) for n, case in enumerate(CASES)),
            formats=" ".join(["%h"] * len(CASES)),
            outputs=", ".join(f"o{n}" for n in range(len(CASES))),
        )
    )
    program = compile_verilog([tmp_path / "bench.v", *MODELS], top="bench", out_dir=tmp_path)
    lines = [line.split() for line in run_vvp(program, cwd=tmp_path).splitlines()]
    lines = [line for line in lines if len(line) == len(CASES)]
    assert len(lines) == len(steps)
    models = [BlockRam(*case, rows) for case in CASES]
    for n, (step, line) in enumerate(zip(steps, lines, strict=True)):
        for case, model, text in zip(CASES, models, line, strict=True):
            width_a, width_b, *_ = case
            wanted, got = model.step(*step), int(text, 16)
            if width_b == 36:  # both ports' outputs are one word
                seen = {"b": got}
            else:
                seen = {"b": got >> PORT_WIDTH & (1 << width_b) - 1}
                if width_a <= PORT_WIDTH:
                    seen["a"] = got & (1 << width_a) - 1
            assert seen == {port: wanted[port] for port in seen}, (n, case, step)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (".DATA_WIDTH_A(3)", "widths must be 1, 2, 4, 9, 18 or 36, got 3 and 18"),
        ('.CSDECODE_B("0b001")', "CSDECODE must be 0b000"),
        ('.CLKBMUX("INV")', "clocks must not be inverted"),
        ('.RESETMODE("ASYNC")', "resets must be synchronous or tied to 0"),
    ],
)
def test_a_way_of_use_beyond_the_model_ends_the_simulation(tmp_path, parameter, message):
    bench = tmp_path / "bench.v"
    bench.write_text(f"module bench;\n  DP16KD #({parameter}) ram();\nendmodule\n")
    program = compile_verilog([bench, *MODELS], top="bench", out_dir=tmp_path)
    with pytest.raises(ToolError) as error:
        run_vvp(program)
    assert re.search(rf"DP16KD bench\.ram: {re.escape(message)}", error.value.output)


MULTIPLIER = """module bench;
  reg clk = 0, ce, ce_factors, rst;
  reg [17:0] a, b;
  wire [35:0] p;
  MULT18X18D #({parameters}) dut({pins}, .SIGNEDA(1'b1), .SIGNEDB(1'b1), .CLK0(clk),
    .CE0(ce), .CE1(ce_factors), .RST0(rst));
  initial begin
    $display("p=%0d", $signed(p));
{steps}
    $finish;
  end
endmodule
"""


FACTORS = (
    '.REG_INPUTA_CLK("CLK0"), .REG_INPUTA_CE("CE1"), .REG_INPUTB_CLK("CLK0"), .REG_INPUTB_CE("CE1")'
)


@pytest.mark.sim
@pytest.mark.parametrize("registers_factors", [False, True])
def test_the_registers_of_a_multiplier(tmp_path, rng, registers_factors):
    pins = [f".{name}{i}({name.lower()}[{i}])" for name in "AB" for i in range(18)]
    pins += [f".P{i}(p[{i}])" for i in range(36)]
    parameters = '.REG_OUTPUT_CLK("CLK0")' + (f", {FACTORS}" if registers_factors else "")
    lines, wanted, kept, factors = [], [0], 0, (0, 0)
    for _ in range(60):
        a, b = (int(n) for n in rng.integers(-(1 << 17), 1 << 17, size=2))
        ce, ce_factors, rst = *(int(n) for n in rng.integers(2, size=2)), int(rng.integers(8) == 0)
        lines.append(
            f"    a = {a}; b = {b}; ce = {ce}; ce_factors = {ce_factors}; rst = {rst};"
            ' #1 clk = 1; #1 clk = 0; $display("p=%0d", $signed(p));'
        )
        if not registers_factors:
            factors = a, b
        kept = 0 if rst else factors[0] * factors[1] if ce else kept
        factors = (0, 0) if rst else (a, b) if ce_factors else factors
        wanted.append(kept)
    bench = tmp_path / "bench.v"
    text = MULTIPLIER.format(parameters=parameters, pins=", ".join(pins), steps="\n".join(lines))
    bench.write_text(text)
    program = compile_verilog([bench, *MODELS], top="bench", out_dir=tmp_path)
    assert [int(p) for p in re.findall(r"p=(-?\d+)", run_vvp(program))] == wanted


@pytest.mark.sim
@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ('.REG_INPUTA_CLK("CLK0")', "both factors must have a register, or none"),
        (
            FACTORS.replace("CE1", "CE0"),
            "registers of factors must have CLK0, CE1 and RST0",
        ),
        ('.REG_PIPELINE_CLK("CLK0")', "registers must be those of the factors and of the product"),
        ('.REG_OUTPUT_CLK("CLK1")', "the register must have CLK0, CE0 and RST0"),
        (
            '.REG_OUTPUT_CLK("CLK0"), .REG_OUTPUT_CE("CE1")',
            "the register must have CLK0, CE0 and RST0",
        ),
    ],
)
def test_a_multiplier_beyond_the_model_ends_the_simulation(tmp_path, parameter, message):
    bench = tmp_path / "bench.v"
    bench.write_text(f"module bench;\n  MULT18X18D #({parameter}) dut();\nendmodule\n")
    program = compile_verilog([bench, *MODELS], top="bench", out_dir=tmp_path)
    with pytest.raises(ToolError) as error:
        run_vvp(program)
    assert re.search(rf"MULT18X18D bench\.dut: {re.escape(message)}", error.value.output)
