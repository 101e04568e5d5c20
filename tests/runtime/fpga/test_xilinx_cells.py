# SPDX-License-Identifier: Apache-2.0
"""The simulation models of Xilinx' memories and multiplier, against others of them."""

import re

import numpy as np
import pytest

from stemcore.runtime.fpga.cell_models import XC7_CELLS, XCUP_CELLS
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
# UltraScale+: without a parameter for the mode.
CASES_PLUS = [
    ("RAMB18E2", "TDP", 18, 18, 18, 18, "READ_FIRST"),
    ("RAMB18E2", "TDP", 4, 4, 1, 1, "NO_CHANGE"),
    ("RAMB18E2", "TDP", 9, 0, 0, 18, "WRITE_FIRST"),
    ("RAMB18E2", "SDP", 36, 0, 0, 36, "READ_FIRST"),
    ("RAMB18E2", "SDP", 9, 0, 0, 36, "WRITE_FIRST"),
    ("RAMB36E2", "TDP", 36, 9, 36, 36, "NO_CHANGE"),
    ("RAMB36E2", "TDP", 36, 36, 18, 18, "WRITE_FIRST"),
    ("RAMB36E2", "SDP", 72, 0, 0, 72, "READ_FIRST"),
    ("RAMB36E2", "SDP", 72, 0, 0, 18, "WRITE_FIRST"),
]
# Data and parity, in and out, each of port A and of port B.
DATA_PINS = {
    "E1": ["DIADI", "DIBDI", "DIPADIP", "DIPBDIP", "DOADO", "DOBDO", "DOPADOP", "DOPBDOP"],
    "E2": [
        "DINADIN",
        "DINBDIN",
        "DINPADINP",
        "DINPBDINP",
        "DOUTADOUT",
        "DOUTBDOUT",
        "DOUTPADOUTP",
        "DOUTPBDOUTP",
    ],
}
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
        self.n = 2 if "18" in cell else 4
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
    n, is_plus = 2 if "18" in cell else 4, cell.endswith("E2")
    data, parity = inits
    values = [f".INIT_00(256'h{data:x}), .INITP_00(256'h{parity:x})"]
    values += [".DOA_REG(0), .DOB_REG(0)" if is_plus else f'.RAM_MODE("{mode}")']
    values += [f".READ_WIDTH_A({read_a}), .READ_WIDTH_B({read_b})"]
    values += [f".WRITE_WIDTH_A({write_a}), .WRITE_WIDTH_B({write_b})"]
    values += [f'.WRITE_MODE_{port}("{write_mode}")' for port in "AB"]
    values += [f".INIT_A({9 * n}'h{INIT_A:x}), .INIT_B({9 * n}'h{INIT_B:x})"]
    values += [f".SRVAL_A({9 * n}'h{SRVAL_A:x}), .SRVAL_B({9 * n}'h{SRVAL_B:x})"]
    high = 8 * n - 1
    # The top bit of the larger cell's addresses in 7 series is for cascades alone.
    whole = "{at}" if is_plus else "{{1'b1, {at}}}"
    at = [f"{a}[13:0]" if n == 2 else whole.format(at=a) for a in ("ad_a", "ad_b")]
    enables = (
        f".WEA({n}'h0), .WEBWE(we[{2 * n - 1}:0])"
        if mode == "SDP"
        else f".WEA(we[{n - 1}:0]), .WEBWE({{{n}'h0, we[{n + 3}:4]}})"
    )
    pins = [
        ".CLKARDCLK(clk), .CLKBWRCLK(clk), .ENARDEN(en_a), .ENBWREN(en_b)",
        ".RSTRAMARSTRAM(rst_a), .RSTRAMB(rst_b), .REGCEAREGCE(1'b0), .REGCEB(1'b0)",
        f".ADDRARDADDR({at[0]}), .ADDRBWRADDR({at[1]})",
        enables,
    ]
    wires = [f"di_a[{high}:0]", f"di_b[{high}:0]", f"dip_a[{n - 1}:0]", f"dip_b[{n - 1}:0]"]
    wires += [f"{wire}{number}" for wire in "abpq"]
    pins += [f".{pin}({wire})" for pin, wire in zip(DATA_PINS[cell[-2:]], wires, strict=True)]
    return (
        f"  wire [{high}:0] a{number}, b{number};\n  wire [{n - 1}:0] p{number}, q{number};\n"
        f"  {cell} #({', '.join(values)}) ram{number}({', '.join(pins)});"
    )


def write_steps(path, steps, widths):
    """One word a step, of fields of ``widths`` bits, the first at the top."""
    lines = []
    for step in steps:
        word = 0
        for value, width in zip(step, widths, strict=True):
            word = word << width | value
        lines.append(f"{word:x}\n")
    path.write_text("".join(lines))


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
@pytest.mark.parametrize(
    ("models", "cases"),
    [pytest.param(XC7_CELLS, CASES, id="xc7"), pytest.param(XCUP_CELLS, CASES_PLUS, id="xcup")],
)
def test_block_rams_of_every_mode(tmp_path, rng, models, cases):
    steps = random_steps(rng, 300)
    inits = (
        int.from_bytes(rng.bytes(32), "little"),
        int.from_bytes(rng.bytes(32), "little"),
    )
    write_steps(tmp_path / "steps.hex", steps, STEP)
    (tmp_path / "bench.v").write_text(
        BENCH.format(
            top=sum(STEP) - 1,
            last=len(steps) - 1,
            instances="\n".join(instance(n, case, inits) for n, case in enumerate(cases)),
            formats=" ".join(["%h"] * 4 * len(cases)),
            outputs=", ".join(f"a{n}, p{n}, b{n}, q{n}" for n in range(len(cases))),
        )
    )
    sources = [tmp_path / "bench.v", *models.own_files]
    program = compile_verilog(sources, top="bench", out_dir=tmp_path)
    shown = [line.split() for line in run_vvp(program, cwd=tmp_path).splitlines()]
    shown = [words for words in shown if len(words) == 4 * len(cases)]
    assert len(shown) == len(steps)
    expected = [BlockRam(*case, inits) for case in cases]
    for n, (step, words) in enumerate(zip(steps, shown, strict=True)):
        values = [int(word, 16) for word in words]
        for number, (case, ram) in enumerate(zip(cases, expected, strict=True)):
            data_a, parity_a, data_b, parity_b = values[4 * number : 4 * number + 4]
            got = pin_bytes(data_a, parity_a, ram.n), pin_bytes(data_b, parity_b, ram.n)
            assert got == ram.step(*step), (n, case, step)


ULTRA_BENCH = """`timescale 1ns/1ps
module bench;
  reg clk = 0;
  reg [11:0] ad_a, ad_b;
  reg [71:0] di_a, di_b;
  reg [8:0] bwe_a, bwe_b;
  reg en_a, en_b, wr_a, wr_b, rst_a, rst_b;
  reg [191:0] steps [0:{last}];
  integer i;
  wire [71:0] a0, b0, a1, b1;
{instances}
  initial begin
    $readmemh("steps.hex", steps);
    for (i = 0; i <= {last}; i = i + 1) begin
      {{ad_a, ad_b, di_a, di_b, bwe_a, bwe_b, en_a, en_b, wr_a, wr_b, rst_a, rst_b}} = steps[i];
      #1 $display("%h %h %h %h", a0, b0, a1, b1);
      clk = 1;
      #1 $display("%h %h %h %h", a0, b0, a1, b1);
      clk = 0;
    end
    $finish;
  end
endmodule
"""
ULTRA_STEP = (12, 12, 72, 72, 9, 9, 1, 1, 1, 1, 1, 1)
ULTRA_MODES = (("PARITY_INTERLEAVED", "SYNC"), ("PARITY_INDEPENDENT", "ASYNC"))


class UltraRam:
    """4,096 words of 72 bits; in a cycle, port B comes behind port A."""

    def __init__(self, parity, reset):
        self.is_interleaved, self.is_sync = parity == "PARITY_INTERLEAVED", reset == "SYNC"
        self.words, self.latch = {}, [0, 0]

    def before(self, *step):
        """What both ports show of a step before its edge of the clock."""
        for port, reset in enumerate(step[-2:]):
            if reset and not self.is_sync:
                self.latch[port] = 0
        return tuple(self.latch)

    def step(self, ad_a, ad_b, di_a, di_b, bwe_a, bwe_b, *controls):
        ports = ((ad_a, di_a, bwe_a), (ad_b, di_b, bwe_b))
        for port, (address, data, enables) in enumerate(ports):
            enable, write, reset = controls[port::2]
            old = self.words.get(address, 0)
            if enable and write:
                for bit in range(72):
                    parity = bit - 64 if self.is_interleaved else 8
                    if enables >> (parity if bit >= 64 else bit // 8) & 1:
                        old = old & ~(1 << bit) | data & 1 << bit
                self.words[address] = old
            if reset:
                self.latch[port] = 0
            elif enable and not write:
                self.latch[port] = old
        return tuple(self.latch)


@pytest.mark.sim
def test_ultra_ram_of_both_parities(tmp_path, rng):
    steps = []
    for _ in range(400):
        addresses = rng.choice([0, 1, 2, 4095], size=2)
        words = [int.from_bytes(rng.bytes(9), "little") for _ in range(2)]
        enables = [int(value) for value in rng.integers(512, size=2)]
        # Both ports' enables, then which write, then which are reset.
        controls = rng.random(6) < np.repeat([0.75, 0.5, 0.08], 2)
        steps.append((*map(int, addresses), *words, *enables, *map(int, controls)))
    write_steps(tmp_path / "steps.hex", steps, ULTRA_STEP)
    instances = []
    for n, (parity, reset) in enumerate(ULTRA_MODES):
        values = [f'.BWE_MODE_{p}("{parity}"), .RST_MODE_{p}("{reset}")' for p in "AB"]
        pins = [
            f".EN_{p}(en_{q}), .RDB_WR_{p}(wr_{q}), .RST_{p}(rst_{q}), .BWE_{p}(bwe_{q}), "
            f".ADDR_{p}({{11'h0, ad_{q}}}), .DIN_{p}(di_{q}), .DOUT_{p}({q}{n})"
            for p, q in ("Aa", "Bb")
        ]
        instances.append(f"  URAM288 #({', '.join(values)}) ram{n}(.CLK(clk), {', '.join(pins)});")
    bench = tmp_path / "bench.v"
    bench.write_text(ULTRA_BENCH.format(last=len(steps) - 1, instances="\n".join(instances)))
    sources = [bench, *XCUP_CELLS.own_files]
    program = compile_verilog(sources, top="bench", out_dir=tmp_path)
    shown = [line.split() for line in run_vvp(program, cwd=tmp_path).splitlines()]
    shown = [tuple(int(word, 16) for word in words) for words in shown if len(words) == 4]
    rams = [UltraRam(*mode) for mode in ULTRA_MODES]
    wanted = []
    for step in steps:
        wanted += [rams[0].before(*step) + rams[1].before(*step)]
        wanted += [rams[0].step(*step) + rams[1].step(*step)]
    assert shown == wanted


def multiplier(pins, changed=""):
    """A DSP48E2 without its registers, but for parameters in ``changed``."""
    registers = [
        "AD",
        "ALUMODE",
        "A",
        "B",
        "CARRYIN",
        "CARRYINSEL",
        "C",
        "D",
        "INMODE",
        "M",
        "OPMODE",
        "P",
    ]
    values = [f".{name}REG(0)" for name in registers if f".{name}REG" not in changed]
    return f"DSP48E2 #({', '.join([*values, *filter(None, [changed])])}) dut({pins});"


CONTROLS = ".OPMODE(9'h5), .ALUMODE(4'h0), .INMODE(5'h0), .CARRYINSEL(3'h0), .CARRYIN(1'b0)"


@pytest.mark.sim
def test_multiplier_of_27_by_18_signed_bits(tmp_path, rng):
    corners_a, corners_b = ([0, 1, m // 2 - 1, m // 2, m - 1] for m in (1 << 27, 1 << 18))
    cases = [(a, b) for a in corners_a for b in corners_b]
    cases += zip(*(rng.integers(1 << n, size=50).tolist() for n in (27, 18)), strict=True)
    lines = "\n".join(f'    a = {a}; b = {b}; #1 $display("p=%0d", p);' for a, b in cases)
    bench = tmp_path / "bench.v"
    bench.write_text(
        "module bench;\n  reg [26:0] a; reg [17:0] b; wire signed [47:0] p;\n  "
        + multiplier(f".A({{3'h0, a}}), .B(b), .P(p), {CONTROLS}")
        + f"\n  initial begin\n{lines}\n    $finish;\n  end\nendmodule\n"
    )
    sources = [bench, *XCUP_CELLS.own_files]
    program = compile_verilog(sources, top="bench", out_dir=tmp_path)
    got = [int(p) for p in re.findall(r"p=(-?\d+)", run_vvp(program))]

    def signed(word, n):
        return word - (word >> n - 1 << n)

    assert got == [signed(a, 27) * signed(b, 18) for a, b in cases]


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
        ("RAMB18E2", ".READ_WIDTH_A(3), .DOA_REG(0), .DOB_REG(0)", "widths must be 0, 1, 2, 4"),
        ("RAMB18E2", "", "must be without output registers"),
        ("RAMB18E2", ".IS_CLKBWRCLK_INVERTED(1'b1)", "clocks must not be inverted"),
        ("RAMB18E2", '.ENADDRENB("TRUE")', "addresses must be without enables"),
        ("RAMB36E2", '.CASCADE_ORDER_A("FIRST")', "must not be cascaded"),
        ("RAMB36E2", '.EN_ECC_WRITE("TRUE")', "must be without error correction"),
        ("URAM288", '.OREG_A("TRUE")', "must be without registers"),
        ("URAM288", '.CASCADE_ORDER_B("LAST")', "must not be cascaded"),
        ("URAM288", '.EN_ECC_RD_A("TRUE")', "must be without error correction"),
        ("URAM288", '.RST_MODE_B("NONE")', "resets must be SYNC or ASYNC"),
        ("URAM288", '.EN_AUTO_SLEEP_MODE("TRUE")', "must not sleep"),
        ("URAM288", ".IS_CLK_INVERTED(1'b1)", "the clock must not be inverted"),
        ("URAM288", '.BWE_MODE_A("NONE")', "write enables must be PARITY_INTERLEAVED or"),
    ],
)
def test_a_way_of_use_beyond_the_model_ends_the_simulation(tmp_path, cell, parameter, message):
    bench = tmp_path / "bench.v"
    bench.write_text(f"module bench;\n  {cell} #({parameter}) ram();\nendmodule\n")
    models = XC7_CELLS if cell.endswith("E1") else XCUP_CELLS
    program = compile_verilog([bench, *models.own_files], top="bench", out_dir=tmp_path)
    with pytest.raises(ToolError) as error:
        run_vvp(program)
    assert re.search(rf"bench\.ram.*: {re.escape(message)}", error.value.output)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("pins", "changed", "message"),
    [
        (CONTROLS, ".PREG(1)", "must be without registers"),
        (CONTROLS, '.USE_SIMD("TWO24")', "must multiply A and B"),
        (CONTROLS.replace("9'h5", "9'h35"), "", "must give the product and nothing more"),
        ("", "", "must give the product and nothing more"),
    ],
)
def test_a_multiplier_beyond_the_model_ends_the_simulation(tmp_path, pins, changed, message):
    bench = tmp_path / "bench.v"
    bench.write_text(f"module bench;\n  {multiplier(pins, changed)}\nendmodule\n")
    sources = [bench, *XCUP_CELLS.own_files]
    program = compile_verilog(sources, top="bench", out_dir=tmp_path)
    with pytest.raises(ToolError) as error:
        run_vvp(program)
    assert re.search(rf"bench\.dut.*: {re.escape(message)}", error.value.output)
