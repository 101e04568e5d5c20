# SPDX-License-Identifier: Apache-2.0
import re

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.folders import results
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import (
    RAM_NAME,
    chip_verilog,
    component_verilog,
    memory_scopes,
    node_verilog,
)
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp

TINY = get_preset("tiny")
OUT = results() / "export-tests"


@pytest.fixture(scope="module")
def node():
    return node_verilog(TINY)


class Remembers(wiring.Component):
    """A memory and a delay in a submodule, so that names have levels."""

    address: In(4)
    data: Out(7)

    def __init__(self, init):
        self._init = init
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Module()
        inner.submodules.words = words = RAM(shape=7, depth=12, init=self._init)
        read = words.read_port()
        delayed = Signal(7)
        inner.d.comb += read.addr.eq(self.address)
        inner.d.sync += delayed.eq(read.data)
        inner.d.comb += self.data.eq(delayed)
        return m


def modules(verilog):
    return re.findall(r"^module (\S+?)\s*\(", verilog, re.MULTILINE)


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
    assert sorted(modules(verilog)) == ["top", "top__inner"]
    assert re.search(r"^  top__inner +inner \(", verilog, re.MULTILINE)
    for port in ("input clk;", "input rst;", "input [3:0] address;", "output [6:0] data;"):
        assert port in verilog


def test_memory_of_zeros_is_written_as_a_loop():
    zeros, others = (component_verilog(Remembers(init), name="top") for init in ([], [0, 3]))
    (count,) = re.findall(r"initial for \(\w+ = 0; \w+ < (\d+); ", zeros)
    assert count == "12"
    assert not re.search(r"\w+\[\d+\] = 7'h", zeros)
    # A memory with contents stays word for word.
    assert "initial for" not in others
    assert len(re.findall(r"\w+\[\d+\] = 7'h", others)) == 12


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
    assert all(re.fullmatch(r"\w+", name) for name in names)
    assert len(names) == len(set(names))
    for memory, scopes in memory_scopes(TINY).items():
        _, depth = Formats(TINY).memory(memory)
        assert len(scopes) == (TINY.soma_lanes if memory.name == "LOOKUP" else 1)
        for scope in scopes:
            module = scope.replace(".", "__")
            assert module in names, memory.name
            body = node[re.search(rf"^module {module} ?\(", node, re.MULTILINE).start() :]
            body = body[: body.index("endmodule")]
            width = Formats(TINY).word_width(memory)
            chunks = Formats(TINY).n_chunks(memory)
            stored = width if chunks == 1 else 32 * chunks
            assert f"reg [{stored - 1}:0] {RAM_NAME} [{depth - 1}:0];" in body, memory.name


def test_node_is_in_the_chip_once(node):
    chip = chip_verilog(TINY, columns=3, rows=2)
    assert modules(chip) == ["chip"]
    assert chip.count("node node(") == 1
    assert modules(node).count("node") == 1
    # Every port of the node is connected, and no other.
    header = node[node.index("module node(") :]
    ports = set(re.search(r"\(([^)]*)\)", header)[1].replace(",", " ").split())
    assert set(re.findall(r"\.(\w+)\(", chip)) == ports


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
