# SPDX-License-Identifier: Apache-2.0
"""cocotb benches under Icarus Verilog or Verilator, from one call."""

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stemcore.extras import require_extra
from stemcore.folders import named_for_make

from .icarus import compile_verilog
from .process import Simulator, ToolError, environment
from .verilator import BuildOptions, verilate

TIMESCALE = "1ns/1ps"


@dataclass(frozen=True)
class BenchOptions:
    """What few benches change.

    depends, defines : of the design, as for :func:`compile_verilog`
    public : Verilator control files that name the signals the bench touches; default all signals,
        at two to four times the run time
    waves : write FST waves to the folder of the run
    plusargs : words for the simulator, with or without their plus
    env : environment variables of the bench, beside those of this process
    optimize : compiler level, Verilator only
    coverage : count lines, branches and toggles, Verilator only; the run leaves ``coverage.dat`` in
        its folder, for :func:`stemcore.runtime.toolchain.coverage.read_coverage`
    """

    depends: Sequence[Path] = ()
    defines: Mapping[str, object] | None = None
    public: Sequence[Path] | None = None
    waves: bool = False
    plusargs: Sequence[str] = ()
    env: Mapping[str, str] | None = None
    optimize: str = "-O1"
    coverage: bool = False


def run_bench(
    simulator: Simulator,
    sources: Sequence[Path],
    *,
    top: str,
    test_module: str | Sequence[str],
    out_dir: Path,
    run_dir: Path | None = None,
    testcase: str | Sequence[str] | None = None,
    seed: int | None = None,
    parameters: Mapping[str, object] | None = None,
    options: BenchOptions = BenchOptions(),
) -> list[str]:
    """Build the design if it changed, run the cocotb tests of a module; returns their names.

    A failed test, a crash or a run without any test raises :class:`ToolError` with the messages.

    Parameters
    ----------
    sources, parameters : the design, as for :func:`compile_verilog`.
    test_module : importable name of the module that holds the cocotb tests.
    out_dir : keeps builds, shared by all benches of the same design.
    run_dir : folder of this run alone (log, results, waves); default ``out_dir/run-SIMULATOR``.
    testcase : names of the tests to run; default all.
    seed : cocotb's seed; default the environment's ``SEED``, or 0.
    """
    require_extra("test", "a bench of cocotb")
    from cocotb_tools.runner import get_runner

    out_dir = Path(out_dir).resolve()
    run_dir = (out_dir / f"run-{simulator}" if run_dir is None else Path(run_dir)).resolve()
    run_dir.mkdir(parents=True, exist_ok=True)
    built = _built(simulator, sources, top, out_dir, parameters, options)
    seed = int(os.environ.get("SEED", "0")) if seed is None else seed
    log, results = run_dir / "run.log", run_dir / "results.xml"
    results.unlink(missing_ok=True)
    with _only(_bench_environment()):
        runner = get_runner(simulator)
        try:
            runner.test(
                test_module=test_module,
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                testcase=testcase,
                seed=seed,
                test_args=_wave_arguments(simulator, top, options),
                build_dir=built,
                test_dir=run_dir,
                results_xml=str(results),
                log_file=log,
                waves=options.waves and simulator == "icarus",
                plusargs=[f"+{arg.removeprefix('+')}" for arg in options.plusargs],
                extra_env=dict(options.env or {}),
            )
        except (SystemExit, RuntimeError) as error:
            # A simulator that ends with a bad status may still have told why in its results.
            crash: BaseException | None = error
        else:
            crash = None
    return _passed(f"{simulator}: {top}: {test_module}", results, log, crash)


def _built(
    simulator: Simulator,
    sources: Sequence[Path],
    top: str,
    out_dir: Path,
    parameters: Mapping[str, object] | None,
    options: BenchOptions,
) -> Path:
    """Folder of the design, compiled for the simulator."""
    if simulator == "icarus":
        dump = [_dump_module(top, out_dir)] if options.waves else []
        program = compile_verilog(
            [*sources, *dump],
            top=top,
            out_dir=out_dir,
            depends=options.depends,
            defines=options.defines,
            parameters=parameters,
            flags=["-s", "dump_waves"] if options.waves else [],
            timescale=TIMESCALE,
            name=f"{top}-icarus",
        )
        return program.parent
    if simulator == "verilator":
        return _verilated(sources, top, out_dir, parameters, options)
    raise ValueError(f"simulator must be 'icarus' or 'verilator', not {simulator!r}")


def _wave_arguments(simulator: Simulator, top: str, options: BenchOptions) -> list[str]:
    traces = simulator == "verilator" and options.waves
    return ["--trace", "--trace-file", f"{top}.fst"] if traces else []


def _verilated(
    sources: Sequence[Path],
    top: str,
    out_dir: Path,
    parameters: Mapping[str, object] | None,
    options: BenchOptions,
) -> Path:
    """Folder of the design with cocotb's own main(), as its runner expects it."""
    import cocotb_tools.config

    libraries = named_for_make(cocotb_tools.config.libs_dir)
    flags = ["--vpi", "--timing", "--timescale", TIMESCALE]
    flags += ["--public-flat-rw"] if options.public is None else []
    flags += ["--coverage-line", "--coverage-toggle"] if options.coverage else []
    flags += [f"-D{name}={value}" for name, value in (options.defines or {}).items()]
    flags += [f"-G{name}={value}" for name, value in (parameters or {}).items()]
    program = verilate(
        [*sources, *(options.public or ())],
        top=top,
        out_dir=out_dir,
        prefix="Vtop",
        cpp_sources=[cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"],
        depends=options.depends,
        options=BuildOptions(
            flags=flags,
            ldflags=[f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"],
            trace="fst" if options.waves else None,
            optimize=options.optimize,
        ),
    )
    return program.parent


def _dump_module(top: str, out_dir: Path) -> Path:
    path = out_dir / f"dump_{top}.v"
    text = (
        f'module dump_waves;\ninitial begin $dumpfile("{top}.fst"); $dumpvars(0, {top}); end\n'
        "endmodule\n"
    )
    if not path.exists() or path.read_text() != text:
        out_dir.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def _bench_environment() -> dict[str, str]:
    """Without the variables of ours, or of pytest, that cocotb's runner takes for its settings."""
    env = environment()
    for name in ("WAVES", "GUI", "PYTEST_CURRENT_TEST", "SIM_CMD_PREFIX", "SIM_CMD_SUFFIX"):
        env.pop(name, None)
    return env


@contextmanager
def _only(env: Mapping[str, str]) -> Iterator[None]:
    """The runner looks at ``os.environ`` alone: show it ``env`` for a while."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(env)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _passed(what: str, results: Path, log: Path, crash: BaseException | None) -> list[str]:
    output = log.read_text(errors="replace") if log.exists() else ""
    if not results.is_file():
        raise ToolError(f"{what}: the simulation ended without results", output=output, log=log)
    names, failures = [], []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        names.append(case.get("name", ""))
        for kind in ("failure", "error"):
            for node in case.findall(kind):
                message = node.get("error_msg") or node.get("message") or node.text
                failures.append(f"{names[-1]}: {kind}: {message}")
    if failures:
        head = "\n".join([f"{what}: {len(failures)} of {len(names)} tests failed", *failures])
        raise ToolError(head, output=output, log=log)
    if not names:
        raise ToolError(f"{what}: the module holds no cocotb test", output=output, log=log)
    if crash is not None:
        raise ToolError(f"{what}: the simulator failed after its tests", output=output, log=log)
    return names
