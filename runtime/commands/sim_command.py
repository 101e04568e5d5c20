# SPDX-License-Identifier: Apache-2.0
"""``stemcore sim``: one model through every stage, cycle-accurately."""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from .registry import RUN
from .source_options import add_source_options, source_settings

if TYPE_CHECKING:
    from ..simulate import Waves

NAME = "sim"
GROUP = RUN
HELP = "simulate a model cycle-accurately, compare every spike with golden, report"
EXAMPLES = (
    "stemcore sim --model digits_cnn",
    "stemcore sim --model mine.py:build --images 8 --waves 0,1",
    "stemcore sim --model tiny_vgg --integration late --sim program",
)


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
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..report.figures import summary, table
    from ..simulate import simulate

    bar: list[_Bar] = []

    def progress(images: int, cycles: int) -> None:
        if not bar:
            bar.append(_Bar(arguments.images))
        bar[0](images, cycles)

    try:
        result = simulate(
            source_settings(arguments),
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
    if "lane_utilisation" in report:
        print(f"\n{table(report)}\n\n{summary(report)}")
    else:
        print(json.dumps({k: report[k] for k in ("bit_exact", "accuracy")}, indent=2))
    print(f"report       {result.folder / 'report.json'}")
    print(f"page         {result.folder / 'report.html'}")
    for difference in result.differences:
        print(f"DIFFERENT    {difference}", file=sys.stderr)
    return 1 if result.differences else 0


def _threads(text: str) -> int:
    from ..native.build import MAX_THREADS

    if not (text.isdigit() and 1 <= int(text) <= MAX_THREADS):
        raise argparse.ArgumentTypeError(f"must be 1 to {MAX_THREADS}, got {text!r}")
    return int(text)


def _waves(text: str) -> "Waves":
    """No waves (``0``), those of all nodes with a core (``1``, ``all``), or of some nodes."""
    if text in ("0", "1", "all"):
        return None if text == "0" else "all"
    nodes = [node.split(",") for node in text.split(";")]
    if not all(len(node) == 2 and all(n.strip().isdigit() for n in node) for node in nodes):
        raise argparse.ArgumentTypeError(
            f"must be all, or nodes X,Y[;X,Y..] such as '0,1;1,1', got {text!r}"
        )
    return tuple((int(x), int(y)) for x, y in nodes)


class _Bar:
    """Progress of a simulation: images, and cycles as they go by."""

    def __init__(self, n_images: int):
        from tqdm import tqdm

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
