# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import re

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.folders import results
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl import verilog_text
from stemcore.hdl.export import (
    RAM_NAME,
    chip_verilog,
    component_verilog,
    memory_scopes,
    node_blackbox,
    node_export,
    node_verilog,
)
from stemcore.hdl.host.export import axi_host_verilog
from stemcore.hdl.modules import port_names
from stemcore.hdl.node import Node
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp

pytestmark = pytest.mark.medium  # what its fixtures make takes seconds

TINY = get_preset("tiny")
OUT = results() / "export-tests"
KINDS = """
accumulate_lanes accumulate_loop address_generator arbiter_east arbiter_local arbiter_north
axon_in axon_out config_memory_axon config_memory_destinations config_memory_fire_table
config_memory_lookup config_memory_requant config_memory_table_c config_memory_table_x
config_memory_table_y config_memory_update_pass config_memory_weights configuration control core
dendrite egress entry_queue error_register flit_check flit_queue_leaving flit_queue_north
flit_register_link_north flit_register_oldest flow_control ingress no_update plane_scan ranges
requantize reserved_queue reserved_queue_jobs route_mask_east route_mask_local route_mask_north
route_mask_south route_mask_west router shift_lanes soma spike_emit spike_queue watchdog
"""


@pytest.fixture(scope="module")
def node():
    return node_verilog(TINY)


class Remembers(wiring.Component):
    """A memory and a delay in a submodule, so that names have levels."""

    def __init__(self, init, width=7):
        self._init, self._width = init, width
        super().__init__({"address": In(4), "data": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Module()
        inner.submodules.words = words = RAM(shape=self._width, depth=12, init=self._init)
        read = words.read_port()
        delayed = Signal(self._width)
        inner.d.comb += read.addr.eq(self.address)
        inner.d.sync += delayed.eq(read.data)
        inner.d.comb += self.data.eq(delayed)
        return m


def modules(verilog):
    return re.findall(r"^module (\S+?)\s*(?:#\s*)?\(", verilog, re.MULTILINE)


@pytest.mark.parametrize(
    ("columns", "rows"), [(0, 1), (1, 0), (TINY.max_columns + 1, 1), (1, TINY.max_rows + 1)]
)
def test_chip_refuses_impossible_sizes(columns, rows):
    message = rf"^chip: columns must be 1 to 8 and rows 1 to 7, got {columns} x {rows}$"
    with pytest.raises(ValueError, match=message):
        chip_verilog(TINY, columns=columns, rows=rows)


def test_chip_takes_the_largest_size():
    text = chip_verilog(TINY, columns=TINY.max_columns, rows=TINY.max_rows)
    assert f"[{Formats(TINY).flit.width - 1}:0] host_i_payload" in text


def test_module_names_are_plain_and_ports_keep_theirs():
    verilog = component_verilog(Remembers([1, 2]), name="top")
    assert sorted(modules(verilog)) == ["top", "top_inner"]
    assert re.search(r"^  top_inner +inner \(", verilog, re.MULTILINE)
    for port in ("input clk;", "input rst;", "input [3:0] address;", "output [6:0] data;"):
        assert port in verilog


# Yosys writes the value of a word of 32 bits as a decimal number.
@pytest.mark.parametrize("width", [7, 32])
def test_memory_of_zeros_is_written_as_a_loop(width):
    zeros, others = (component_verilog(Remembers(init, width), name="top") for init in ([], [0, 3]))
    (count,) = re.findall(r"initial for \(\w+ = 0; \w+ < (\d+); ", zeros)
    assert count == "12"
    assert not re.search(r"\w+\[\d+\] = \d+'", zeros)
    # A memory with contents stays word for word.
    assert "initial for" not in others
    assert len(re.findall(rf"\w+\[\d+\] = {width}'", others)) == 12


@pytest.mark.sim
def test_memory_of_zeros_reads_zero_in_icarus(tmp_path):
    for name, init, wanted in (("zeros", [], 0), ("words", [5, 6, 7], 6)):
        (tmp_path / f"{name}.v").write_text(component_verilog(Remembers(init), name="top"))
        bench = tmp_path / f"{name}_bench.v"
        bench.write_text("""
            module bench;
                reg clk = 0;
                wire [6:0] data;
                top top(.clk(clk), .rst(1'b0), .address(4'd1), .data(data));
                initial begin
                    repeat (6) #5 clk = ~clk;
                    $display("data=%b", data);
                end
            endmodule""")
        program = compile_verilog([bench, tmp_path / f"{name}.v"], top="bench", out_dir=tmp_path)
        assert f"data={wanted:07b}" in run_vvp(program)


def test_node_has_every_memory_where_engines_look(node):
    names = modules(node)
    assert len(names) == len(set(names))
    kinds = node_export(TINY).modules
    for memory, scopes in memory_scopes(TINY).items():
        _, depth = Formats(TINY).memory(memory)
        assert len(scopes) == (TINY.soma_lanes if memory.name == "LOOKUP" else 1)
        for scope in scopes:
            module = kinds[scope]
            assert module in names, memory.name
            body = node[re.search(rf"^module {module} ?\(", node, re.MULTILINE).start() :]
            body = body[: body.index("endmodule")]
            width = Formats(TINY).word_width(memory)
            chunks = Formats(TINY).n_chunks(memory)
            stored = width if chunks == 1 else 32 * chunks
            assert f"reg [{stored - 1}:0] {RAM_NAME} [{depth - 1}:0];" in body, memory.name


def test_kinds_are_modules_once_and_keep_their_names(node):
    kinds = node_export(TINY).modules
    router = {scope: kinds[f"node.router.{scope}"] for scope in ("queue_north", "queue_local")}
    assert set(router.values()) == {"node_flit_queue_north"}
    assert {kinds[f"node.router.arbiter_{port}"] for port in ("north", "south")} == {
        "node_arbiter_north"
    }
    assert kinds["node.router.arbiter_east"] == "node_arbiter_east"
    assert kinds["node.core.soma.requantize.lookup_1"] == "node_config_memory_lookup"
    assert sorted(set(kinds.values())) == sorted(modules(node))
    # Names are stable: those that scripts and constraints of users hold on to.
    assert set(modules(node)) == {f"node_{name}" for name in KINDS.split()} | {"node"}


def test_no_name_needs_an_escape_and_no_pragma_is_left(node):
    assert "\\" not in node
    assert "$" not in re.sub(r"\$(signed|unsigned)\(", "", node)
    assert "synopsys" not in node
    assert re.search(r"^module node\(([^)]*)\);", node, re.MULTILINE)


def test_signals_have_the_names_that_the_gateware_gives_them(node):
    # A signal that its line cannot name, as in ``a, b = Signal(), Signal()``, is called so.
    assert not re.search(r"\b_signal(_\d+)?\b", node)


def test_ports_of_links_have_their_compass_names():
    ports = port_names(Node(params=TINY))
    links = {
        f"{name}_{side}_{member}"
        for name in ("north", "east", "south", "west")
        for side in "io"
        for member in ("valid", "payload", "ready")
    }
    others = {"x", "y", "edges", "quiet", "awake", "sent", "sent_flit"}
    assert set(ports) == links | others
    assert ports["north_i_ready"][1].value == "output"
    assert ports["north_o_ready"][1].value == "input"


def test_a_black_box_has_the_ports_of_the_node_and_nothing_else(node):
    """Direction and width of each, as Yosys declares them in the module itself."""
    text = node_blackbox(TINY)
    declaration = r"(?m)^  (input|output) (\[\d+:0\] )?(\w+)[;,]?$"
    body = node[node.index("module node(") :]
    wanted = re.findall(declaration, body[: body.index("endmodule")])
    assert set(re.findall(declaration, text)) == set(wanted)
    assert re.findall(r"\bmodule \w+", text) == ["module node"]
    assert not re.search(r"\b(assign|always|wire|reg|initial)\b", text)
    assert text.startswith("`timescale 1ns/1ps\n")


def test_ports_that_would_share_a_name_are_refused():
    class Twice(wiring.Component):
        a_b: In(1)
        a: In(wiring.Signature({"b": In(1)}))

    with pytest.raises(ValueError, match=r"^Twice: two members would be port a_b; rename one"):
        port_names(Twice())


def test_registers_get_their_initial_values_in_initial_statements(node):
    assert not re.search(r"^  reg [^;]*=", node, re.MULTILINE)
    assert len(re.findall(r"^  initial \w+ = ", node, re.MULTILINE)) > 100


@pytest.mark.parametrize(("n_words", "loops"), [(12, [(0, 12)]), (5000, [(0, 4096), (4096, 5000)])])
def test_loops_stay_below_the_limits_of_synthesis_tools(n_words, loops):
    lines = "".join(f"    ram[{n}] = 8'h00;\n" for n in range(n_words))
    text = verilog_text.loops(f"  initial begin\n{lines}  end\n")
    found = re.findall(r"ram_word = (\d+); ram_word < (\d+); ram_word = ram_word \+ 1\)", text)
    assert [(int(start), int(end)) for start, end in found] == loops


def test_only_large_memories_read_by_a_clock_edge_ask_for_block_ram():
    read = "  always @(posedge clk) data <= ram[address];\n"
    at_once = "  assign data = ram[address];\n"
    for depth, body, styled in ((2048, read, True), (2047, read, False), (2048, at_once, False)):
        text = f"module m(data);\n  reg [7:0] ram [{depth - 1}:0];\n{body}endmodule\n"
        found = verilog_text.for_other_tools(text)
        assert ('(* ram_style = "block" *)' in found) == styled


def test_weights_for_ultra_ram_have_its_style_and_zeros_for_simulation_alone(node):
    """UltraRAM powers up as zeros and takes no initial values."""
    found = node_export(TINY, ultra_weights=True)
    plain = {body.split("(")[0]: body for body in node.split("endmodule")}
    other = {body.split("(")[0]: body for body in found.verilog.split("endmodule")}
    assert plain.keys() == other.keys()
    changed = [name for name, body in plain.items() if body != other[name]]
    (scope,) = memory_scopes(TINY)[Memory.WEIGHT]
    assert [name.split()[-1] for name in changed] == [found.modules[scope]]
    wanted = plain[changed[0]].replace('ram_style = "block"', 'ram_style = "ultra"')
    filled, without = re.subn(r"`ifndef SYNTHESIS\n((?s:.*?))`endif\n", r"\1", other[changed[0]])
    assert (filled, without) == (wanted, 1)
    guarded = re.search(r"(?s)`ifndef SYNTHESIS\n(.*?)`endif\n", other[changed[0]])[1]
    assert re.findall(r"(?m)^  (initial for|integer)", guarded) == ["integer", "initial for"]


def test_a_choice_by_one_of_several_is_gates_instead_of_a_pragma():
    """All three selections, none, and a width of one bit."""
    case = (
        "    casez (s) // synopsys parallel_case\n      2'b?1:\n        _1_ = b[3:0];\n"
        "      2'b1?:\n        _1_ = b[7:4];\n      default:\n        _1_ = a;\n    endcase\n"
    )
    assert verilog_text.for_other_tools(case) == (
        "    _1_ = s == 0 ? a :\n      ({4{s[0]}} & b[3:0]) |\n      ({4{s[1]}} & b[7:4]);\n"
    )


def test_every_file_sets_the_same_timescale(node):
    chip = chip_verilog(TINY, columns=1, rows=1)
    axi = axi_host_verilog(TINY, columns=1, rows=1)
    for text in (node, chip, axi):
        assert text.startswith("`timescale 1ns/1ps\n")
        assert text.count("`timescale") == 1


def test_node_is_in_the_chip_once(node):
    chip = chip_verilog(TINY, columns=3, rows=2)
    assert modules(chip) == ["chip"]
    assert chip.count("node node(") == 1
    assert modules(node).count("node") == 1
    # Every port of the node is connected, and no other.
    header = node[node.index("module node(") :]
    ports = set(re.search(r"\(([^)]*)\)", header)[1].replace(",", " ").split())
    assert set(re.findall(r"\.(\w+)\(", chip)) == ports


def test_sizes_of_a_chip_are_parameters():
    """Text for one size, given another one, is the text for that size."""
    small, large = (chip_verilog(TINY, columns=c, rows=r) for c, r in ((2, 2), (3, 5)))
    sizes = ("parameter COLUMNS = {},", "parameter ROWS = {} ")
    for line, old, new in zip(sizes, (2, 2), (3, 5), strict=True):
        assert small.count(line.format(old)) == 1
        small = small.replace(line.format(old), line.format(new))
    assert small == large


def test_instances_in_the_chip_are_numbered_like_the_nodes():
    chip = chip_verilog(TINY, columns=3, rows=2)
    assert "for (y = 1; y <= ROWS; y = y + 1) begin : row" in chip
    assert "for (x = 0; x < COLUMNS; x = x + 1) begin : column" in chip


def test_chip_text_does_not_grow_with_its_size():
    sizes = [len(chip_verilog(TINY, columns=n, rows=n)) for n in (2, 7)]
    assert sizes[0] == sizes[1]


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 2)])
def test_icarus_elaborates_a_chip(node, tmp_path, columns, rows):
    (tmp_path / "node.v").write_text(node)
    (tmp_path / "chip.v").write_text(chip_verilog(TINY, columns=columns, rows=rows))
    files = [tmp_path / "chip.v", tmp_path / "node.v"]
    program = compile_verilog(files, top="chip", out_dir=tmp_path)
    log = (program.parent / "build.log").read_text()
    assert "error" not in log.lower()
    assert not re.search(r"chip\.v:\d+: warning", log), log
