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
    renames = _pairs(gold, gate)
    (folder / "others.txt").write_text("\n".join(_misleading(gold)) + "\n")
    # By way of third names, since two may exchange theirs.
    steps = [(old, f"pair_{n}") for n, old in enumerate(renames)]
    steps += [(f"pair_{n}", new) for n, new in enumerate(renames.values())]
    text = "\n".join(f"rename {old} {new}" for old, new in steps)
    return run_yosys(_PROOF.format(name=name, renames=text), cwd=folder)


def _module(design: dict[str, Any]) -> dict[str, Any]:
    (module,) = (m for m in design["modules"].values() if "top" in m["attributes"])
    return module


def _nets(design: dict[str, Any]) -> dict[str, list[Any]]:
    """Bits of the wires of the one module that have names of their own."""
    nets = _module(design)["netnames"].items()
    return {name: net["bits"] for name, net in nets if not net["hide_name"]}


def _registers(design: dict[str, Any]) -> set[str]:
    """The wires that are outputs of flip-flops in every bit."""
    kept = {
        bit
        for cell in _module(design)["cells"].values()
        if re.fullmatch(r"\$\w*dff\w*", cell["type"])
        for bit in cell["connections"]["Q"]
    }
    return {name for name, bits in _nets(design).items() if kept.issuperset(bits)}


def _plain(name: str) -> str:
    """A name as the export writes it, but for what it adds where two are the same."""
    return re.sub(r"[^\w\[\]]|__", "_", re.sub(r"\$\d+", "", name)).strip("_")


def _pairs(gold: dict[str, Any], gate: dict[str, Any]) -> dict[str, str]:
    """New names for registers of ``gold``: those that they have in ``gate``.

    Amaranth tells signals of one name apart by ``$`` and a number, the export by _2, _3 and so on,
    and begins with ports. Two of these are paired where a name that both designs have once stands
    for the same signal; the others in their order. What is left may be called after the instance
    that it is an input of: ``update_i_valid`` for ``i_valid``.
    """
    nets, gate_nets = _nets(gold), _nets(gate)
    kept, gate_kept = _registers(gold), _registers(gate)
    ports = _module(gold)["ports"].keys()
    plain = {_plain(name): name for name in sorted(gate_nets, key=_order, reverse=True)}
    same: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(nets, key=_order):
        same[_plain(name)].append(name)
    once = {
        tuple(nets[name]): gate_nets[plain[stem]]
        for stem, (name, *others) in same.items()
        if not others and stem in plain
    }
    found = {}
    for stem, names in same.items():
        wanted = [stem, *(f"{stem}_{n}" for n in range(2, len(names) + 1))]
        free = [plain[w] for w in wanted if w in plain and (w == stem or w not in same)]
        ordered = []
        for name in names:
            known = name if name in ports else None
            if len(names) > 1 and known is None:
                bits = once.get(tuple(nets[name]))
                known = next((other for other in free if gate_nets[other] == bits), None)
            if known is None:
                ordered.append(name)
            elif known in free:
                free.remove(known)
                found[name] = known
        for name in ordered:
            fit = (o for o in free if o in gate_kept and len(gate_nets[o]) == len(nets[name]))
            if name in kept and (other := next(fit, None)):
                free.remove(other)
                found[name] = other
    known = {name: found.get(name, name) for name in nets if found.get(name, name) in gate_nets}
    bits = {bit for name in known for bit in nets[name]}
    gate_bits = {bit for name in known.values() for bit in gate_nets[name]}
    left = [name for name in sorted(gate_kept) if gate_bits.isdisjoint(gate_nets[name])]
    for name in sorted(kept):
        fits = [o for o in left if o.endswith(f"_{name}") and len(gate_nets[o]) == len(nets[name])]
        if bits.isdisjoint(nets[name]) and fits:
            found[name] = fits[0]
    renamed = {name: new for name, new in found.items() if new != name}
    return {name: new for name, new in renamed.items() if new not in nets or new in renamed}


def _order(name: str) -> tuple[str, list[int]]:
    return re.sub(r"\$\d+", "", name), [int(number) for number in re.findall(r"\$(\d+)", name)]


def _misleading(design: dict[str, Any]) -> list[str]:
    """Signals that are called as the export calls another: ``o_ready`` beside a port ``o__ready``
    of an inner component. Ports of the component itself are called alike in both.
    """
    nets, ports = _nets(design), _module(design)["ports"].keys()
    others = {name.replace("__", "_"): bits for name, bits in nets.items() if "__" in name}
    same = (nets.keys() & others.keys()) - ports
    return sorted(name for name in same if nets[name] != others[name])
