# SPDX-License-Identifier: Apache-2.0
"""The option that says where units of work run, shared by the commands that have many."""

import argparse


def add_cluster_option(parser: argparse.ArgumentParser) -> None:
    """``--cluster``, a name that :mod:`stemcore.runtime.cluster.executors` knows."""
    parser.add_argument(
        "--cluster",
        type=_cluster,
        default="none",
        metavar="none|local[:N]|tcp://HOST:PORT",
        help="where the work runs: this process, N local processes (default: one a processor), or "
        "the workers of a Dask scheduler; the last two need the extra 'cluster' "
        "(default: %(default)s)",
    )


def _cluster(text: str) -> str:
    from ..cluster.executors import check_cluster

    try:
        return check_cluster(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
