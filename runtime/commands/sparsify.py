# SPDX-License-Identifier: Apache-2.0
"""``stemcore sparsify``: activation tables within a budget of accuracy."""

import argparse
from functools import partial

from .cluster_options import add_cluster_option
from .registry import RUN
from .source_options import add_source_options, source_settings

NAME = "sparsify"
GROUP = RUN
HELP = "search activation tables of a model that save spikes within a budget of accuracy"
EXAMPLES = (
    "stemcore sparsify --model digits_cnn",
    "stemcore sparsify --model tiny_vgg --budget 1 --scheme rd",
    "stemcore sparsify --model digits_cnn --cost cycles --cluster local",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from stemcore.compiler.sparsity.search import BUDGET, COSTS, SCHEMES, SOPS

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
    parser.add_argument(
        "--cost",
        choices=tuple(COSTS),
        default=SOPS,
        help="what tables are to save: synaptic operations, or cycles of the busiest core "
        "(default: %(default)s)",
    )
    add_cluster_option(parser)
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
            cost=arguments.cost,
            cluster=arguments.cluster,
            say=display.say,
            progress=partial(display.count, stage="search", what="units"),
        )
    print(
        f"\n{choices_on_test(report)}\ntables       {folder / 'tables.json'} ({report['best']})\n"
        f"pareto       {folder / 'pareto.md'}"
    )
    return 0
