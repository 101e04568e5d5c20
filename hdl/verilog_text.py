# SPDX-License-Identifier: Apache-2.0
"""Verilog as Yosys writes it, in the words that simulators and synthesis tools like."""

import re
from collections.abc import Collection

LOOP_LIMIT = 4096  # turns of a loop; synthesis tools refuse loops of more than 5,000
BLOCK_RAM_BITS = 1 << 14  # of a memory that fills a block RAM; smaller ones are the tool's choice
# A memory whose words all start as zero: Yosys writes a line for every word.
_ZEROS = re.compile(r"  initial begin\n((?:    (\S+ ?)\[\d+\] = \d+'[hd]0+;\n)+)  end\n")
_INITIAL = re.compile(
    r"(?m)^(  reg (?:signed )?(?:\[\d+:\d+\] )?)(\\\S+ |\w+) ?= (\d+'[hbds]+\w+);$"
)
# How Yosys writes a choice by signals of which at most one is high.
_CHOICE = re.compile(
    r"    casez \(s\) // synopsys parallel_case\n"
    r"((?:      \d+'b[?1]+:\n        (\S+) = b\[[\d:]+\];\n)+)"
    r"      default:\n        \2 = a;\n    endcase\n"
)
_CASE = re.compile(r"'b([?1]+):\n        \S+ = (b\[[\d:]+\]);")
_MEMORY = re.compile(r"(?m)^  reg \[(\d+):0\] (\w+) \[(\d+):0\];$")
_BODY = re.compile(r"(?ms)^module (\w+).*?^endmodule$")
_FILLED = re.compile(r"(?m)^  integer \w+;\n(?:  initial for .*\n)+")


def for_other_tools(verilog: str, ultra: Collection[str] = ()) -> str:
    """All of this file: loops, initial values, choices, memory styles.

    ultra : modules whose memories are to lie in UltraRAM
    """
    verilog = _INITIAL.sub(r"\1\2;\n  initial \2 = \3;", loops(verilog))
    verilog = _CHOICE.sub(_choice, verilog)
    return _BODY.sub(
        lambda match: _ultra(match[0]) if match[1] in ultra else _memory_styles(match[0]), verilog
    )


def loops(verilog: str) -> str:
    """Memories of zeros are filled in loops, of at most ``LOOP_LIMIT`` turns each.

    A line for every word costs simulators minutes.
    """
    return _ZEROS.sub(_loop, verilog)


def _loop(match: re.Match[str]) -> str:
    n_words, name = match[1].count("\n"), match[2]
    index = re.sub(r"\W", "_", name.strip()).lstrip("_") + "_word"
    lines = [f"  integer {index};\n"]
    for start in range(0, n_words, LOOP_LIMIT):
        end = min(start + LOOP_LIMIT, n_words)
        lines.append(
            f"  initial for ({index} = {start}; {index} < {end}; {index} = {index} + 1) "
            f"{name}[{index}] = 0;\n"
        )
    return "".join(lines)


def _choice(match: re.Match[str]) -> str:
    """Gates in the place of a pragma that synthesis believes and simulation does not."""
    terms = []
    for pattern, chosen in _CASE.findall(match[1]):
        place = len(pattern) - 1 - pattern.index("1")
        first, last = map(int, chosen[2:-1].split(":")) if ":" in chosen else (0, 0)
        terms.append(f"{{{first - last + 1}{{s[{place}]}}}} & {chosen}")
    chosen = " |\n      ".join(f"({term})" for term in terms)
    return f"    {match[2]} = s == 0 ? a :\n      {chosen};\n"


def _ultra(module: str) -> str:
    """Memories ask for UltraRAM, which powers up as zeros and has no initial values.

    Synthesis does not see the zeros that simulation begins with: a tool need not find out that a
    loop asks for nothing else, and Yosys takes minutes for it.
    """
    module = _MEMORY.sub(lambda match: f'  (* ram_style = "ultra" *)\n{match[0]}', module)
    return _FILLED.sub(lambda match: f"`ifndef SYNTHESIS\n{match[0]}`endif\n", module)


def _memory_styles(module: str) -> str:
    """Large memories that are read by a clock edge ask for block RAM."""

    def styled(match: re.Match[str]) -> str:
        width, name, depth = int(match[1]) + 1, match[2], int(match[3]) + 1
        is_read_at_once = re.search(rf"(?m)^  assign .*= {name}\[", module)
        if width * depth < BLOCK_RAM_BITS or is_read_at_once:
            return match[0]
        return f'  (* ram_style = "block" *)\n{match[0]}'

    return _MEMORY.sub(styled, module)
