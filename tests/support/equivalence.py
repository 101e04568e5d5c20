# SPDX-License-Identifier: Apache-2.0
"""Gateware beside its exported Verilog: Yosys proves both equivalent, register by register."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from stemcore.runtime.toolchain.yosys import run_yosys

GOLD, GATE = "gold.il", "gate.v"
_MAPPED = "proc; flatten; memory; opt_clean"
_LISTS = f"""
read_rtlil {GOLD}
hierarchy -top {{name}}
{_MAPPED}
write_json gold.json
design -reset
read_verilog {GATE}
hierarchy -top {{name}}
{_MAPPED}
write_json gate.json
"""
# equiv_induct proves that registers of both that are paired stay equal, and so do the outputs.
_PROOF = f"""
read_rtlil {GOLD}
hierarchy -top {{name}}
{_MAPPED}
cd {{name}}
{{renames}}
cd ..
rename {{name}} gold
design -stash gold
read_verilog {GATE}
hierarchy -check -top {{name}}
check -assert
{_MAPPED}
rename {{name}} gate
design -stash gate
design -copy-from gold -as gold gold
design -copy-from gate -as gate gate
equiv_make -blacklist others.txt gold gate equiv
hierarchy -top equiv
equiv_struct
equiv_simple
equiv_induct
equiv_status -assert
"""


def prove_equivalent(name: str, folder: Path) -> str:
    """What Yosys says of the modules ``name`` of ``gold.il`` and ``gate.v``; ``ToolError`` where
    it does not prove that they are equivalent.

    Registers are paired by what the export makes of their names. A pair that is none cannot be
    proved; it hides no difference.
    """
    run_yosys(_LISTS.format(name=name), cwd=folder, name="lists")
    gold, gate = (json.loads((folder / f"{n}.json").read_text()) for n in ("gold", "gate"))
    renames = _pairs(_registers(gold), _registers(gate))
    (folder / "others.txt").write_text("\n".join(_misleading(gold)) + "\n")
    text = "\n".join(f"rename {old} {new}" for old, new in renames.items())
    return run_yosys(_PROOF.format(name=name, renames=text), cwd=folder)


def _nets(design: dict[str, Any]) -> dict[str, list[Any]]:
    """Bits of the wires of the one module that have names of their own."""
    (module,) = (m for m in design["modules"].values() if "top" in m["attributes"])
    nets = module["netnames"].items()
    return {name: net["bits"] for name, net in nets if not net["hide_name"]}


def _registers(design: dict[str, Any]) -> dict[str, int]:
    """Widths of the wires that are outputs of flip-flops in every bit."""
    (module,) = (m for m in design["modules"].values() if "top" in m["attributes"])
    kept = {
        bit
        for cell in module["cells"].values()
        if re.fullmatch(r"\$\w*dff\w*", cell["type"])
        for bit in cell["connections"]["Q"]
    }
    return {name: len(bits) for name, bits in _nets(design).items() if kept.issuperset(bits)}


def _plain(name: str) -> str:
    """A name as the export writes it, but for what it adds where two are the same."""
    return re.sub(r"[^\w\[\]]|__", "_", name).rstrip("_")


def _pairs(gold: dict[str, int], gate: dict[str, int]) -> dict[str, str]:
    """New names for registers of ``gold``: those that they have in ``gate``.

    Amaranth tells signals of one name apart by ``$`` and a number, the export by _2, _3 and so on.
    """
    free = {(_plain(name), gate[name]): name for name in gate.keys() - gold.keys()}
    n_same: defaultdict[str, int] = defaultdict(lambda: 1)
    found = {}
    for name in sorted(gold.keys() - gate.keys(), key=_order):
        wanted = name
        if "$" in name:
            stem = re.sub(r"\$\d+", "", name)
            n_same[stem] += 1
            wanted = re.sub(r"\$\d+", f"_{n_same[stem]}", name)
        if new := free.pop((_plain(wanted), gold[name]), None):
            found[name] = new
    return found


def _order(name: str) -> tuple[str, list[int]]:
    return re.sub(r"\$\d+", "", name), [int(number) for number in re.findall(r"\$(\d+)", name)]


def _misleading(design: dict[str, Any]) -> list[str]:
    """Signals that are called as the export calls another: ``o_ready`` beside a port ``o__ready``
    of an inner component.
    """
    nets = _nets(design)
    others = {name.replace("__", "_"): bits for name, bits in nets.items() if "__" in name}
    return sorted(name for name in nets.keys() & others.keys() if nets[name] != others[name])
