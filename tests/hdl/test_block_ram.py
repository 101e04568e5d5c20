# SPDX-License-Identifier: Apache-2.0
"""The memories that count as a node's are those of its gateware."""

import re

import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.block_ram import MAX_LUT_WORDS, node_memories
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.widths import CHUNK_WIDTH
from stemcore.hdl.node import Node

MEMORY = re.compile(
    r"^module \\node\.core\.(?P<module>\S+)|^  memory width (?P<width>\d+) size (?P<words>\d+) "
    r"\\(?P<name>\S+)$",
    re.MULTILINE,
)


@pytest.mark.slow
def test_memories_of_a_node_are_those_of_its_gateware():
    params = get_preset("tiny_fpga")
    text = rtlil.convert(Node(params=params), name="node", emit_src=False)
    found, module = {}, ""
    for match in MEMORY.finditer(text):
        module = match["module"] or module
        if match["name"]:
            place = module if match["name"] in ("ram", "storage") else f"{module}.{match['name']}"
            found[place] = (int(match["words"]), int(match["width"]))
    found = {name: size for name, size in found.items() if size[0] > MAX_LUT_WORDS}
    wanted = {}
    for memory in node_memories(params):
        # Words of several chunks are padded, and a queue keeps one of its words in a register.
        width = -(-memory.width // CHUNK_WIDTH) * CHUNK_WIDTH if len(memory.parts) > 1 else None
        name = {"soma.requantize.lookup": "soma.requantize.lookup_0"}
        words = memory.words - (memory.name == "spikes")
        if memory.blocks():
            wanted[name.get(memory.name, memory.name)] = (words, width or memory.width)
    assert found == wanted
