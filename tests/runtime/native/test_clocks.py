# SPDX-License-Identifier: Apache-2.0
"""The simulated form of the node's Verilog: every register has its block's clock."""

import re

import pytest

from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import instances_verilog, memory_scopes
from stemcore.hdl.node import Node
from stemcore.hdl.platforms import PROCESSOR
from stemcore.runtime.native import clocks

TINY = get_preset("tiny")


@pytest.fixture(scope="module")
def texts():
    stays = clocks.modules_that_stay(TINY, ())
    plain = instances_verilog(
        Node(params=TINY), name="node", passes=clocks.PASSES, stays=stays, platform=PROCESSOR
    )
    return plain, clocks.simulation_verilog(TINY)


def modules(text):
    return {match[1]: match[0] for match in re.finditer(r"(?ms)^module (\w+).*?^endmodule", text)}


@pytest.mark.slow
def test_every_register_has_the_clock_of_its_block(texts):
    plain, clocked = (modules(text) for text in texts)
    assert plain.keys() == clocked.keys()
    scopes = memory_scopes(TINY).values()
    configured = {scope.replace(".", "__") for group in scopes for scope in group}
    assert configured < clocked.keys()
    for name, text in clocked.items():
        edges = re.findall(r"always @\(([^)]*)\)", text)
        assert len(edges) == plain[name].count("always @(posedge clk)")
        wanted = {"clk"}
        for block in clocks.BLOCKS:
            scope = "node__router" if block == "router" else f"node__core__{block}"
            if name.startswith(scope):
                wanted = {f"node.clk_{block}"}
        is_written = "  reg" in text and " ram " in text and "config__write" in text
        # Ranges are words of CONTROL, which a host may write to a core at rest.
        assert is_written == (name in configured or name == "node__core__ranges"), name
        if name in configured:
            assert edges.count("node.clk_configuration") >= 1
            wanted.add("node.clk_configuration")
        assert set(edges) <= wanted, name


@pytest.mark.slow
def test_ports_are_those_of_the_node_with_clocks_for_the_reset(texts):
    plain, clocked = (
        set(re.split(r"[(),\s]+", modules(text)["node"].split(";")[0])) for text in texts
    )
    assert clocked - plain == {f"clk_{block}" for block in clocks.BLOCKS}
    assert plain - clocked == {"rst"}


@pytest.mark.slow
def test_blocks_memories_and_what_is_reached_stay_modules():
    reached = "node.core.soma.requantize"
    names = modules(clocks.simulation_verilog(TINY, reached=[reached])).keys()
    scopes = {name.replace("__", ".") for name in names}
    memories = {scope for scopes in memory_scopes(TINY).values() for scope in scopes}
    assert memories | {reached} < scopes
    assert {scope for scope in scopes if scope.count(".") > 2} == {
        scope for scope in memories | {reached} if scope.count(".") > 2
    }
    for block in clocks.BLOCKS:
        if block != "configuration":
            assert any(clocks._is_in(name, block) for name in names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module node(clk, rst);\nendmodule\n", r"module node must declare rst once"),
        ("module node(clk);\nendmodule\n", r"module node must have a port rst"),
        (
            "module node(rst);\n  input rst;\n  wire rst;\nendmodule\n",
            r"modules must be there for all memories, not found: \['node__core__axon_in__axon', ",
        ),
        (
            "module node__core__axon_in__axon(clk);\nendmodule\n",
            r"node__core__axon_in__axon must have one block that writes ram, found 0",
        ),
    ],
)
def test_verilog_of_another_form_is_refused(monkeypatch, text, message):
    monkeypatch.setattr(clocks, "Node", lambda params: None)
    monkeypatch.setattr(clocks, "instances_verilog", lambda node, **options: text)
    with pytest.raises(RuntimeError, match=rf"^exported Verilog: {message}.*clocks\.py$"):
        clocks.simulation_verilog(TINY)
