# SPDX-License-Identifier: Apache-2.0
"""``stemcore sim``: one model through every stage, cycle-accurately."""

import argparse
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .cluster_options import add_cluster_option
from .registry import RUN
from .source_options import (
    add_cores_on_chip,
    add_source_options,
    refuse_placement,
    source_settings,
)

if TYPE_CHECKING:
    from ..sim_options import Waves

NAME = "sim"
GROUP = RUN
HELP = "simulate a model cycle-accurately, compare every spike with golden, report"
EXAMPLES = (
    "stemcore sim --model digits_cnn",
    "stemcore sim --model mine.py:build --images 8 --waves 0,1",
    "stemcore sim --model tiny_vgg --integration late --sim program",
    "stemcore sim --model tiny_vgg --images 300 --cluster local",
)

VIEWERS = ("surfer", "gtkwave")  # that read FST
SHOWN_WAVES = 4  # files that are named one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..engines.registry import DEFAULT, describe_engines, engine_names

    parser.add_argument(
        "--images", type=int, default=4, help="test images to run (default: %(default)s)"
    )
    parser.add_argument(
        "--sim",
        default=DEFAULT,
        choices=engine_names(),
        help=f"the engine: {describe_engines()} (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=_threads,
        help="that simulate (default: $OMP_NUM_THREADS, else one a processor, at most 4)",
    )
    parser.add_argument(
        "--port",
        help="where the chip of engine fpga is: a serial port, PATH or PATH@BAUD, or axi:PATH",
    )
    parser.add_argument(
        "--waves",
        type=_waves,
        metavar="all|X,Y[;X,Y]",
        help="nodes whose waves are written; 1 is all (default: none)",
    )
    parser.add_argument(
        "--accuracy-images",
        type=int,
        metavar="N",
        help="images that the accuracy rests on (default: up to 1000, as the size allows)",
    )
    add_cores_on_chip(parser)
    add_cluster_option(parser)
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..report.screen import summary, table
    from .progress import Display

    with Display() as display:
        display.say("load         the compiler and its libraries")
        from ..engines.engine import NetworkEngine
        from ..engines.registry import get_engine
        from ..simulate import simulate

        settings = source_settings(arguments)
        if isinstance(engine := get_engine(arguments.sim), NetworkEngine):
            refuse_placement(settings, f"engine {engine.name!r}")
        result = simulate(
            settings,
            n_images=arguments.images,
            engine=arguments.sim,
            accuracy_images=arguments.accuracy_images,
            waves=arguments.waves,
            threads=arguments.threads,
            cores_on_chip=arguments.cores_on_chip,
            cluster=arguments.cluster,
            port=arguments.port,
            say=display.say,
            progress=display.count,
        )
    report = result.report
    print(f"\n{table(report)}\n\n{summary(report)}")
    print(f"report       {result.folder / 'report.json'}")
    print(f"page         {result.folder / 'report.html'}")
    if arguments.waves:
        print("\n".join(wave_lines(result.folder)))
    for difference in result.differences:
        print(f"DIFFERENT    {difference}", file=sys.stderr)
    return 1 if result.differences else 0


def wave_lines(folder: Path) -> list[str]:
    """Wave files in ``folder``, and the command that opens the first of them."""
    files = sorted(folder.glob("waves-*.fst"))
    if not files:
        return []
    lines = [f"waves        {path}" for path in files[:SHOWN_WAVES]]
    if len(files) > SHOWN_WAVES:
        lines.append(f"             and {len(files) - SHOWN_WAVES} more, one for each node")
    found = [name for name in VIEWERS if shutil.which(name)]
    words = {name: [files[0].name] for name in VIEWERS}
    view = files[0].with_suffix(".gtkw")
    if view.exists():
        words["gtkwave"].append(view.name)
    # Viewers find the words for values from the folder that they are started in.
    lines.append(f"open with    cd {shlex.quote(str(folder))}")
    lines += [f"             {shlex.join([name, *words[name]])}" for name in found or VIEWERS]
    return lines


def _threads(text: str) -> int:
    from ..native.build import MAX_THREADS

    if not (text.isdecimal() and 1 <= int(text) <= MAX_THREADS):
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_THREADS}, got {text!r}")
    return int(text)


def _waves(text: str) -> "Waves":
    """No waves (``0``), those of all nodes with a core (``1``, ``all``), or of some nodes."""
    if text in ("0", "1", "all"):
        return None if text == "0" else "all"
    nodes = [node.split(",") for node in text.split(";")]
    if not all(len(node) == 2 and all(n.strip().isdecimal() for n in node) for node in nodes):
        raise argparse.ArgumentTypeError(
            f"must be all, or nodes X,Y[;X,Y..] such as '0,1;1,1', got {text!r}"
        )
    return tuple((int(x), int(y)) for x, y in nodes)
