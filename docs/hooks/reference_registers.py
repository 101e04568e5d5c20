# SPDX-License-Identifier: Apache-2.0
"""The page of the registers that a host on a bus sees."""

from markup import markdown, sentence, table, text

from stemcore.golden.spec.host_registers import (
    FIRST_PARAM,
    HOST_REGISTERS,
    Access,
    HostRegister,
)
from stemcore.golden.spec.host_window import WINDOW_DEPTH, WINDOW_PAGE, WINDOW_REGISTERS

_ERRORS_PAGE = "memory-images.md#errors"


def _anchor(name: str) -> str:
    return name.lower()


def _section(register: HostRegister) -> str:
    rows = []
    for name, low, width in register.layout:
        high = low + width - 1
        bits = f"{high}..{low}" if width > 1 else str(low)
        rows.append((bits, f"`{name}`", markdown(register.meanings.get(name, ""))))
    words = f"{sentence(markdown(register.meaning))} {sentence(register.access.value)}"
    if register.access is Access.VALUE and register.name != "NODES":
        words += f" After reset of the bus {register.init:#x}."
    return f"### {register.name}\n\nOffset `{register.offset:#05x}`. {words}\n\n" + table(
        ("bits", "field", "meaning"), rows
    )


def host_registers() -> str:
    """The page of the register map."""
    registers = HOST_REGISTERS.values()
    own = [register for register in registers if register.number < FIRST_PARAM]
    params = [register for register in registers if register.number >= FIRST_PARAM]
    return "\n".join(
        [
            "# Host registers\n",
            text(
                "What a host on AXI4-Lite sees of a chip: registers of 32 bits. Written from "
                "`golden/spec/host_registers.py`, which the gateware and the C header are made "
                "from too. How to use them: [A chip behind AXI](../how-to/axi.md)."
            ),
            "## Access\n",
            *(f"* **{access.name}**: {access.value}." for access in Access),
            "",
            text(
                "An access is refused with SLVERR, and then changes nothing, where its address is "
                "not a multiple of 4, or has no register; where a write strobes a byte of a "
                "read-only register, or sets a bit that has no field; and where a command cannot "
                "be taken now. On a bus of 64 bits an access is to two registers: a write "
                "concerns those that it strobes, and is done for both or none; a read shows both, "
                "and a missing one as zero."
            ),
            "## Map\n",
            table(
                ("offset", "register", "access"),
                [
                    (f"`{r.offset:#05x}`", f"[{r.name}](#{_anchor(r.name)})", r.access.name)
                    for r in own
                ],
            ),
            "## Registers\n",
            *(_section(register) for register in own),
            "## The window of flits\n",
            text(
                "Where a host has no streams, a page of its own, "
                f"`{WINDOW_PAGE:#x}` above the first where one driver maps both, holds "
                "`StreamWindow` of `stemcore.hdl.host.window`: "
                f"queues of {WINDOW_DEPTH} flits each way. Written from "
                "`golden/spec/host_window.py`."
            ),
            table(
                ("offset", "register", "access", "fields", "what"),
                [
                    (
                        f"`{r.offset:#05x}`",
                        f"`{r.name}`",
                        r.access.name,
                        ", ".join(f"`{name}` {width}" for name, _, width in r.layout),
                        sentence(markdown(r.meaning)),
                    )
                    for r in WINDOW_REGISTERS.values()
                ],
            ),
            "## Parameters of the chip\n",
            text(
                "All CONSTANT. Together they are the chip's `ChipParams`, from which every width "
                "follows; in Python `params_of_words` of `stemcore.golden.spec.host_registers` "
                f"reads them. The fields of ALERT are those of [errors]({_ERRORS_PAGE})."
            ),
            table(
                ("offset", "register", "what"),
                [(f"`{r.offset:#05x}`", f"`{r.name}`", markdown(r.meaning)) for r in params],
            ),
        ]
    )
