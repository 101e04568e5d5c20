# SPDX-License-Identifier: Apache-2.0
"""``stemcore sparsify``: activation tables within a budget of accuracy."""

import argparse

from .registry import RUN
from .source_options import add_source_options, source_settings

NAME = "sparsify"
GROUP = RUN
HELP = "search activation tables of a model that save spikes within a budget of accuracy"
EXAMPLES = (
    "stemcore sparsify --model digits_cnn",
    "stemcore sparsify --model tiny_vgg --budget 1 --scheme rd",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from stemcore.compiler.sparsity.search import BUDGET, SCHEMES

    parser.add_argument(
        "--budget",
        type=float,
        default=BUDGET,
        metavar="POINTS",
        help="accuracy that tables may cost, in percentage points (default: %(default)s)",
    )
    parser.add_argument(
        "--scheme",
        action="append",
        choices=tuple(SCHEMES),
        help="tables to search: RoT and DRLO, or rate-distortion (default: both)",
    )
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from stemcore.compiler.sparsity.search import SCHEMES

    from ..sparsify.search import choices_on_test, sparsify
    from .progress import Display

    with Display() as display:
        report, folder = sparsify(
            source_settings(arguments),
            budget=arguments.budget,
            schemes=arguments.scheme or tuple(SCHEMES),
            say=display.say,
        )
    print(
        f"\n{choices_on_test(report)}\ntables       {folder / 'tables.json'} ({report['best']})\n"
        f"pareto       {folder / 'pareto.md'}"
    )
    return 0
