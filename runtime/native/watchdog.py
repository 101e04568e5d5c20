# SPDX-License-Identifier: Apache-2.0
"""Says what the nodes of a mesh wait for: tokens, spikes, flits that nobody takes."""

from stemcore.golden.program.program import CoreImage
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.registers import Control

from ..errors import EngineError
from ..host.errors import describe_flit
from ..host.errors import report as error_report
from . import verilated_mesh
from .verilated_mesh import SETTLE_LIMIT, Status, VerilatedMesh

LINKS = ("north", "east", "south", "west")
STEPS = ((0, -1), (1, 0), (0, 1), (-1, 0))


def settled(mesh: VerilatedMesh, limit: int = SETTLE_LIMIT) -> None:
    """Runs ``mesh`` until nothing moves; raises :class:`EngineError` if that does not come."""
    status = mesh.settle(limit)
    if status is Status.DONE:
        return
    reason = f"it did not in {limit} cycles" if status is Status.LIMIT else standstill()
    raise EngineError(
        f"{mesh.program.name}: the mesh must come to rest; {reason}. A memory image or the "
        f"gateware is wrong: run the engine 'program' to find out\n{report(mesh)}"
    )


def standstill() -> str:
    """What ``Status.STANDSTILL`` says, in words."""
    return f"something waits, and nothing has moved for {verilated_mesh.PATIENCE} cycles"


def report(mesh: VerilatedMesh) -> str:
    """A line for every core, and for every flit that stands on a link and is not taken.

    Before them one for each core that has seen an error of the protocol.
    """
    program = mesh.program
    cores = {(core.x, core.y): core for core in program.cores}
    lines = [error_report(mesh.formats, mesh.alerts())] if mesh.alerts() else []
    for y in range(1, program.rows + 1):
        for x in range(program.columns):
            core = cores.get((x, y))
            flits = _standing(mesh, x, y)
            if core is not None:
                lines.append(f"  node ({x}, {y}) {core.layer}: {_tokens(mesh, core)}")
            elif flits:
                lines.append(f"  node ({x}, {y}), no core:")
            lines += flits
    return "\n".join(lines)


def _tokens(mesh: VerilatedMesh, core: CoreImage) -> str:
    number = mesh.number(core.x, core.y)
    registers = core.memories[Memory.CONTROL]
    wanted = {
        "END": int(registers[Control.N_SOURCES].item()),
        "CREDIT": int(registers[Control.N_DESTINATIONS].item()),
    }
    got = {
        "END": mesh.watch(core.x, core.y, "node.core.control", "n_ends"),
        "CREDIT": mesh.watch(core.x, core.y, "node.core.control", "n_credits"),
    }
    updated = mesh.watch(core.x, core.y, "node.core.control", "samples")
    spikes = mesh.watch(core.x, core.y, "node.core.spikes", "stored")
    tokens = ", ".join(f"{got[token]} of {wanted[token]} {token}" for token in wanted)
    return (
        f"updated {updated} samples, ended {mesh.recorded(number)}; has {tokens}; "
        f"{spikes} spikes wait; {'at work' if mesh.active(number) else 'at rest'}"
    )


def _standing(mesh: VerilatedMesh, x: int, y: int) -> list[str]:
    lines = []
    for port, (_, _, _, valid, flit, ready) in enumerate(mesh.ports(x, y).tolist()):
        if not valid or ready:
            continue
        to = (x + STEPS[port][0], y + STEPS[port][1])
        held = describe_flit(mesh.formats, flit)
        lines.append(f"    its {LINKS[port]} link holds {held}; node {to} does not take it")
    return lines
