# SPDX-License-Identifier: Apache-2.0
"""Icarus Verilog: compile with iverilog, run with vvp."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from .process import ToolError, built_once, content_key, find_program, run

_HINT = "install Icarus Verilog 11 or newer, on Debian: apt-get install iverilog"


def compile_verilog(
    sources: Sequence[Path],
    *,
    top: str,
    out_dir: Path,
    depends: Sequence[Path] = (),
    flags: Sequence[str] = (),
    defines: Mapping[str, object] | None = None,
    parameters: Mapping[str, object] | None = None,
    timescale: str | None = None,
    name: str | None = None,
) -> Path:
    """Compile Verilog 2012 to a program for :func:`run_vvp`, and return its path.

    Kept in ``out_dir/NAME-HASH/sim.vvp`` under a hash of all named files and options. ``defines``
    are macros, ``parameters`` those of the top module; both are taken literally. ``timescale``
    (``"1ns/1ps"``) holds for files that set none.
    """
    name = top if name is None else name
    files = [Path(file).resolve() for file in sources]
    hashed = files + [Path(file).resolve() for file in depends]
    for file in hashed:
        if not file.is_file():
            raise ToolError(f"{top}: source file {file} does not exist")
    program = find_program("iverilog", hint=_HINT)
    command = [program, "-g2012", "-Wall", "-Wno-timescale", "-s", top, "-o", "sim.vvp"]
    command += [f"-D{key}={value}" for key, value in (defines or {}).items()]
    command += [f"-P{top}.{key}={value}" for key, value in (parameters or {}).items()]
    if timescale is not None:
        command += ["-f", "options.f"]
    command += [*flags, *map(str, files)]
    key = content_key(hashed, command, timescale)
    with built_once(Path(out_dir).resolve(), name, key) as (folder, empty):
        if empty:
            if timescale is not None:
                (folder / "options.f").write_text(f"+timescale+{timescale}\n")
            run(command, cwd=folder, log=folder / "build.log")
    return folder / "sim.vvp"


def run_vvp(
    program: Path,
    *,
    cwd: Path | None = None,
    plusargs: Sequence[str] = (),
    timeout_s: float = 600,
) -> str:
    """Run a compiled program; returns what it printed. ``$fatal`` and ``$stop`` raise ToolError."""
    vvp = find_program("vvp", hint=_HINT)
    cwd = Path(program).parent if cwd is None else cwd
    # -N: $stop ends the run with status 1 instead of waiting for a person.
    _, output = run(
        [vvp, "-N", Path(program).resolve(), *[f"+{arg.removeprefix('+')}" for arg in plusargs]],
        cwd=cwd,
        timeout_s=timeout_s,
    )
    return output
