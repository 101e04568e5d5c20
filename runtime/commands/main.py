# SPDX-License-Identifier: Apache-2.0
"""Command line: `python -m runtime sim|check|sparsify|verilog`. The Makefile calls it."""

import argparse
import json
import sys
import time
from pathlib import Path

from tqdm import tqdm

from stemcore.compiler.errors import CompileError
from stemcore.compiler.lowering.integrate import MODES
from stemcore.compiler.quantization.bias import BIAS_FORMATS
from stemcore.compiler.quantization.quantized import PROFILES
from stemcore.compiler.sparsity.search import BUDGET, SCHEMES
from stemcore.compiler.sparsity.tables import NAMED
from stemcore.golden.spec.params import PRESETS

from ..engines.compare import Difference
from ..engines.result import EngineError
from ..engines.run import ENGINES
from ..native.build import MAX_THREADS
from ..prepare import Settings
from ..report.figures import summary, table
from ..toolchain import ToolError
from .check import check_all
from .sim import Waves, simulate

EXPECTED = (CompileError, EngineError, OSError, ToolError, ValueError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="runtime", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--model",
        default="tiny_vgg",
        help="a registered name, file.py:function, or an archive .pt2",
    )
    shared.add_argument(
        "--dataset", default="", help="a name or a folder; default: the model's own"
    )
    shared.add_argument("--data", type=Path, help="folder of the data set")
    shared.add_argument("--checkpoint", type=Path, help="weights, safetensors")
    shared.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        help="size of the chip; default: the model's, mostly sim32",
    )
    shared.add_argument("--cores", type=int, help="cores to use at most")
    shared.add_argument("--mesh", type=_mesh, help="columns x rows, for example 6x6")
    shared.add_argument("--profile", default="exact", choices=PROFILES)
    shared.add_argument(
        "--bias",
        choices=BIAS_FORMATS,
        help="format of the biases; default: int32, of the paper's profile output",
    )
    shared.add_argument("--bits", type=int, default=8, help="bits of the activations, T")
    shared.add_argument(
        "--tables", default="none", help=f"activation tables: none, {NAMED}, or a JSON file"
    )
    shared.add_argument(
        "--integration", choices=("exact", *MODES), help="integration mode; default: the preset's"
    )
    sim = commands.add_parser("sim", parents=[shared], help="simulate, compare, report")
    sim.add_argument("--images", type=int, default=4)
    sim.add_argument("--sim", default="verilator", choices=ENGINES)
    sim.add_argument(
        "--threads",
        type=_threads,
        help="that simulate; default: OMP_NUM_THREADS, else one a processor",
    )
    sim.add_argument(
        "--waves",
        type=_waves,
        metavar="all|X,Y[;X,Y]",
        help="nodes whose waves are written; 1 is all",
    )
    sim.add_argument("--accuracy-images", type=int)
    check = commands.add_parser(
        "check", parents=[shared], help="torch against golden on every test image"
    )
    check.add_argument("--images", type=int)
    verilog = commands.add_parser("verilog", parents=[shared], help="write Verilog and a bench")
    verilog.add_argument("--images", type=int, default=1)
    sparse = commands.add_parser(
        "sparsify", parents=[shared], help="search activation tables within a budget of accuracy"
    )
    sparse.add_argument("--budget", type=float, default=BUDGET, help="percentage points")
    sparse.add_argument("--scheme", action="append", choices=tuple(SCHEMES))
    return parser


def _mesh(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdigit() and rows.isdigit()):
        raise argparse.ArgumentTypeError(f"must be columns x rows such as 6x6, got {text!r}")
    return int(columns), int(rows)


def _threads(text: str) -> int:
    if not (text.isdigit() and 1 <= int(text) <= MAX_THREADS):
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_THREADS}, got {text!r}")
    return int(text)


def _waves(text: str) -> Waves:
    """No waves (``0``), those of all nodes with a core (``1``, ``all``), or of some nodes."""
    if text in ("0", "1", "all"):
        return None if text == "0" else "all"
    nodes = [node.split(",") for node in text.split(";")]
    if not all(len(node) == 2 and all(n.strip().isdigit() for n in node) for node in nodes):
        raise argparse.ArgumentTypeError(
            f"must be all, or nodes X,Y[;X,Y..] such as '0,1;1,1', got {text!r}"
        )
    return tuple((int(x), int(y)) for x, y in nodes)


def _settings(arguments: argparse.Namespace) -> Settings:
    return Settings(
        model=arguments.model,
        dataset=arguments.dataset,
        data=arguments.data,
        preset=arguments.preset,
        cores=arguments.cores,
        mesh=arguments.mesh,
        profile=arguments.profile,
        bias=arguments.bias,
        bits=arguments.bits,
        tables=arguments.tables,
        integration=arguments.integration,
        checkpoint=arguments.checkpoint,
    )


class _Bar:
    """Progress of a simulation: images, and cycles as they go by."""

    def __init__(self, n_images: int):
        # In a log file, a line now and then is enough.
        interval = 0.2 if sys.stderr.isatty() else 5.0
        self._bar = tqdm(total=n_images, unit="image", file=sys.stderr, mininterval=interval)
        self._last = 0.0
        self._interval = interval

    def __call__(self, images: int, cycles: int) -> None:
        now = time.monotonic()
        if now - self._last < self._interval and images < (self._bar.total or 0):
            return
        self._last = now
        self._bar.n = images
        self._bar.set_postfix_str(f"{cycles:,} cycles")

    def close(self) -> None:
        self._bar.close()


def _sim(arguments: argparse.Namespace) -> int:
    bar: list[_Bar] = []

    def progress(images: int, cycles: int) -> None:
        if not bar:
            bar.append(_Bar(arguments.images))
        bar[0](images, cycles)

    try:
        result = simulate(
            _settings(arguments),
            n_images=arguments.images,
            engine=arguments.sim,
            accuracy_images=arguments.accuracy_images,
            waves=arguments.waves,
            threads=arguments.threads,
            say=lambda line: print(line, flush=True),
            progress=progress,
        )
    finally:
        for one in bar:
            one.close()
    report = result.report
    if "layers" in report:
        print(f"\n{table(report)}\n\n{summary(report)}")
    else:
        print(json.dumps({k: report[k] for k in ("bit_exact", "accuracy")}, indent=2))
    print(f"report       {result.folder / 'report.json'}")
    print(f"page         {result.folder / 'report.html'}")
    for difference in result.differences:
        print(f"DIFFERENT    {difference}", file=sys.stderr)
    return 1 if result.differences else 0


def _verilog(arguments: argparse.Namespace) -> int:
    from .verilog import write_verilog

    folder = write_verilog(_settings(arguments), n_images=arguments.images)
    print(f"verilog      {folder}")
    return 0


def _sparsify(arguments: argparse.Namespace) -> int:
    from ..sparsify.search import choices_on_test, sparsify

    report, folder = sparsify(
        _settings(arguments),
        budget=arguments.budget,
        schemes=arguments.scheme or tuple(SCHEMES),
        say=lambda line: print(line, flush=True),
    )
    print(
        f"\n{choices_on_test(report)}\ntables       {folder / 'tables.json'} ({report['best']})\n"
        f"pareto       {folder / 'pareto.md'}"
    )
    return 0


def main(words: list[str] | None = None) -> int:
    """Runs one command; 0 is success, 1 a difference, 2 input that cannot be used."""
    arguments = _parser().parse_args(words)
    try:
        if arguments.command == "sim":
            return _sim(arguments)
        if arguments.command == "verilog":
            return _verilog(arguments)
        if arguments.command == "sparsify":
            return _sparsify(arguments)
        print(json.dumps(check_all(_settings(arguments), n_images=arguments.images), indent=2))
    except Difference as difference:
        print(f"DIFFERENT    {difference}", file=sys.stderr)
        return 1
    except EXPECTED as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
