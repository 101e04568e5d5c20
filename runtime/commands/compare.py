# SPDX-License-Identifier: Apache-2.0
"""``stemcore compare``: runs side by side, as text and as a page."""

import argparse
from pathlib import Path

from .registry import LOOK

NAME = "compare"
GROUP = LOOK
HELP = "compare runs: settings that differ, accuracy, SOPs, cycles, energy, layer by layer"
EXAMPLES = (
    "stemcore compare sim_build/tiny_vgg-digits sim_build/tiny_vgg-digits-late",
    "stemcore compare sim_build/tiny_vgg-digits-bits*/report.json --out bits.html",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folder of a run, or its report.json; two or more, changes are against the first",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="page to write (default: sim_build/compare/, named after the runs)",
    )


def run(arguments: argparse.Namespace) -> int:
    from ..report.comparison import compare_runs, text_of
    from ..report_html.comparison import default_page, write_comparison

    comparison = compare_runs(arguments.runs)
    print(text_of(comparison))
    path = write_comparison(comparison, arguments.out or default_page(comparison))
    print(f"\npage         {path}")
    return 0
