# SPDX-License-Identifier: Apache-2.0
"""ECP5: what a bitstream leaves in flip-flops and memories before the first clock edge."""

from typing import Any

from .block_registers import FLIP_FLOP, RAM, Netlist

DISTRIBUTED_RAM = "TRELLIS_DPR16X4"
MEMORIES = {RAM: "block_memories", DISTRIBUTED_RAM: "distributed_memories"}


def power_on_state(netlist: Netlist, top: str) -> dict[str, Any]:
    """Of the flat module ``top``: how many flip-flops start at 0 and at 1, and how many memories
    of each kind there are and hold anything but zeros.

    A bit that Yosys leaves open (``x``) belongs to a word or bit that the design does not have.
    """
    flip_flops = {"0": 0, "1": 0}
    memories = {kind: {"all": 0, "with_contents": 0} for kind in MEMORIES.values()}
    for cell in netlist["modules"][top]["cells"].values():
        parameters = cell.get("parameters", {})
        if cell["type"] == FLIP_FLOP:
            flip_flops["1" if parameters.get("REGSET") == "SET" else "0"] += 1
        elif kind := MEMORIES.get(cell["type"]):
            words = [value for name, value in parameters.items() if name.startswith("INITVAL")]
            memories[kind]["all"] += 1
            memories[kind]["with_contents"] += any("1" in word for word in words)
    return {"flip_flops": flip_flops, **memories}


def power_on_text(state: dict[str, Any]) -> str:
    """What :func:`power_on_state` found as a sentence, and what the gateware does from there on."""
    filled = sum(state[kind]["with_contents"] for kind in MEMORIES.values())
    every = sum(state[kind]["all"] for kind in MEMORIES.values())
    contents = "hold zeros" if not filled else f"hold zeros but for {filled:,}"
    return (
        f"{state['flip_flops']['0']:,} flip-flops at 0 and {state['flip_flops']['1']:,} at 1, "
        f"memories ({every:,}) {contents}; in reset until the PLL has locked, then cores are "
        "stopped, the serial line is at rest, and the LEDs of errors and ends are dark"
    )
