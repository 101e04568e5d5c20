# SPDX-License-Identifier: Apache-2.0
"""The node's Verilog in the form that simulates fastest: a clock for every block.

A compiled model looks at every register whose clock ticks. Here each block has a clock of its own,
which the engine withholds while the node says that the block is at rest (``awake`` in hdl/node.py),
and every change of a clock counts as an edge, so that a cycle is one evaluation. There is no reset:
initial values say the same. The logic is that of the gateware, in the forms of hdl/platforms.py for
a processor; that it agrees with the gate variant in every cycle is tested link by link
(tests/runtime/native/test_links.py).
"""

import re
from collections.abc import Callable, Collection

from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.export import RAM_NAME, instances_verilog, memory_scopes
from stemcore.hdl.node import AWAKE, Node
from stemcore.hdl.platforms import PROCESSOR

BLOCKS = tuple(AWAKE.members)
BLOCK_DEPTH = 2  # of node.core.soma
# One module a block, so that lanes need not be packed into a port and unpacked again; enables,
# widths and shared logic in forms of which less is evaluated in a cycle.
PASSES = """
flatten -noscopeinfo
opt_clean; opt_expr; opt_merge -share_all; opt_muxtree; opt_reduce; opt_clean
opt_dff; opt_clean; opt_dff; opt_merge; opt_expr; opt_clean
wreduce; opt_clean; opt_expr; opt_clean
"""
_MODULE = re.compile(r"(?ms)^module (\w+) ?\(.*?^endmodule\n")
_EDGE = "@(posedge clk)"
# A block that writes a memory and does nothing else.
_WRITE = re.compile(
    rf"(?m)^  always {re.escape(_EDGE)} begin\n"
    rf"((?:    if \([^\n]*\)\n      {RAM_NAME}\[[^\n]*<= [^\n]*;\n)+  end\n)"
)


def simulation_verilog(params: ChipParams, *, reached: Collection[str] = ()) -> str:
    """Verilog of the node without ``rst`` and with an input ``clk_BLOCK`` for each block.

    Each change of a clock, up or down, is a clock edge. Blocks, memories and the scopes ``reached``
    stay modules. Raises ``RuntimeError`` where the exported Verilog has not the form that this file
    knows.
    """
    stays = modules_that_stay(params, reached)
    verilog = instances_verilog(
        Node(params=params), name="node", passes=PASSES, stays=stays, platform=PROCESSOR
    )
    configured = {
        "__".join(scope.split("."))
        for memory, scopes in memory_scopes(params).items()
        if memory is not Memory.CONTROL
        for scope in scopes
    }
    found: list[str] = []

    def rewrite(match: re.Match[str]) -> str:
        name, text = match[1], match[0]
        found.append(name)
        if name in configured:
            text, count = _WRITE.subn(r"  always @(node.clk_configuration) begin\n\1", text)
            _expect(count == 1, f"{name} must have one block that writes {RAM_NAME}, found {count}")
        block = next((block for block in BLOCKS if _is_in(name, block)), None)
        text = text.replace(_EDGE, "@(clk)" if block is None else f"@(node.clk_{block})")
        return _top(text) if name == "node" else text

    verilog = _MODULE.sub(rewrite, verilog)
    missing = configured - set(found)
    _expect(not missing, f"modules must be there for all memories, not found: {sorted(missing)}")
    for block in BLOCKS:
        _expect(f"@(node.clk_{block})" in verilog, f"block {block} must have registers, found none")
    return verilog


def modules_that_stay(params: ChipParams, reached: Collection[str]) -> Callable[[str], bool]:
    """Whether a scope, like ``node.core.soma``, is to stay a module of its own."""
    named = {scope for scopes in memory_scopes(params).values() for scope in scopes} | {*reached}
    return lambda scope: scope in named or scope.count(".") <= BLOCK_DEPTH


def _is_in(module: str, block: str) -> bool:
    scope = "node__router" if block == "router" else f"node__core__{block}"
    return module == scope or module.startswith(f"{scope}__")


def _top(text: str) -> str:
    """The top module with the blocks' clocks, and without its reset."""
    clocks = [f"clk_{block}" for block in BLOCKS]
    text, count = re.subn(r"\A(module node ?\()", rf"\1{', '.join(clocks)}, ", text)
    _expect(count == 1, "module node must have a list of ports")
    text, count = re.subn(r"(?m)\A(.*)\brst, (.*)$|\A(.*), rst\b(.*)$", r"\1\2\3\4", text, count=1)
    _expect(count == 1, "module node must have a port rst")
    declarations = "".join(f"  input {clock};\n  wire {clock};\n" for clock in clocks)
    text, count = re.subn(
        r"(?m)^  input rst;\n  wire rst;\n", f"{declarations}  wire rst = 0;\n", text
    )
    _expect(count == 1, "module node must declare rst once")
    return text


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise RuntimeError(f"exported Verilog: {what}; mend runtime/native/clocks.py")
