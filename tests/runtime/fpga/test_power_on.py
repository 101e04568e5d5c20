# SPDX-License-Identifier: Apache-2.0
"""What a bitstream leaves in flip-flops and memories."""

from stemcore.runtime.fpga.power_on import power_on_state, power_on_text


def netlist(*cells):
    named = {str(n): {"type": kind, "parameters": p} for n, (kind, p) in enumerate(cells)}
    return {"modules": {"top": {"cells": named}}}


def test_flip_flops_and_memories_are_counted_by_what_they_begin_with():
    open_bits = {"INITVAL": "xx00" * 16}
    found = power_on_state(
        netlist(
            ("TRELLIS_FF", {"REGSET": "SET"}),
            ("TRELLIS_FF", {"REGSET": "RESET"}),
            ("TRELLIS_FF", {}),
            ("DP16KD", {"INITVAL_00": "0" * 320, "INITVAL_3F": "0" * 320, "GSR": "1"}),
            ("DP16KD", {"INITVAL_00": "0" * 320, "INITVAL_3F": "0" * 319 + "1"}),
            ("TRELLIS_DPR16X4", open_bits),
            ("LUT4", {"INIT": "1111000011110000"}),
        ),
        "top",
    )
    assert found == {
        "flip_flops": {"0": 2, "1": 1},
        "block_memories": {"all": 2, "with_contents": 1},
        "distributed_memories": {"all": 1, "with_contents": 0},
    }
    text = power_on_text(found)
    assert text.startswith("2 flip-flops at 0 and 1 at 1, memories (3) hold zeros but for 1; ")


def test_memories_of_zeros_are_named_so():
    state = power_on_state(netlist(("DP16KD", {"INITVAL_00": "0" * 320})), "top")
    assert "memories (1) hold zeros; " in power_on_text(state)
