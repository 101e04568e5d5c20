# SPDX-License-Identifier: Apache-2.0
"""``make fuzz``: random networks of every kind on the gateware, side by side.

Network i of a kind derives from (SEED, i) alone. Those that were compared with the same files of
this project are found again (:mod:`stemcore.runtime.cluster`). Exit status 1 where one differs;
each is named with the command that runs it alone.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stemcore.runtime.cluster.run import run_units
from stemcore.runtime.cluster.units import Unit
from stemcore.runtime.commands.cluster_options import add_cluster_option
from stemcore.runtime.commands.endings import stops_in_time, translate
from stemcore.runtime.commands.progress import Display
from stemcore.runtime.commands.source_options import at_least_one
from stemcore.runtime.engines.compare import Difference
from stemcore.runtime.errors import EngineError
from stemcore.runtime.toolchain.process import content_key
from tests.support import random_networks, random_runs, wide_networks
from tests.support.random_runs import KINDS, PLAIN, STRANGE, run_random

# What makes a network what it is, beside this project's own files.
SOURCES = tuple(Path(m.__file__) for m in (random_networks, random_runs, wide_networks))
TESTS = {
    PLAIN: "test_random_networks_run_exactly_on_the_gateware",
    STRANGE: "test_networks_of_stranger_layers_run_exactly_on_the_gateware",
}
PER_TIME_STEP = "test_random_networks_run_exactly_per_time_step"
FILE = "tests/system/test_random_networks_on_rtl.py"


def seed_unit(seed: int, number: int, kind: str) -> Unit:
    """The unit that runs one network."""
    arguments = {"seed": seed, "number": number, "kind": kind, "tests": content_key(SOURCES)}
    return Unit(f"{kind} network {number} of seed {seed}", run_seed, arguments)


def run_seed(arguments, blobs):
    """Cores of the network, or how it differs."""
    try:
        return {
            "cores": run_random(arguments["seed"], arguments["number"], arguments["kind"]),
            "failure": None,
        }
    except (Difference, EngineError, AssertionError) as error:
        return {"cores": None, "failure": f"{type(error).__name__}: {error}"}


def how_to_repeat(seed: int, number: int, kind: str) -> str:
    """The command that runs one network in pytest."""
    test = TESTS.get(kind, f"{PER_TIME_STEP}[{kind}]")
    if kind in TESTS:
        test += "[0]"
    return f"SEED={seed} FIRST_NETWORK={number} RANDOM_NETWORKS=1 pytest '{FILE}::{test}'"


def fuzz(n_seeds: int, seed: int, cluster: str) -> int:
    """Runs ``n_seeds`` networks of every kind; returns the exit status."""
    wanted = [(number, kind) for number in range(n_seeds) for kind in KINDS]
    with Display() as display:
        found = run_units(
            [seed_unit(seed, number, kind) for number, kind in wanted],
            cluster=cluster,
            say=display.say,
            progress=partial(display.count, stage="fuzz", what="networks"),
        )
    failed = [(one, result) for one, result in zip(wanted, found, strict=True) if result["failure"]]
    for (number, kind), result in failed:
        sys.stderr.write(
            f"DIFFERENT    {kind} network {number}: {result['failure']}\n"
            f"             {how_to_repeat(seed, number, kind)}\n"
        )
    n_equal = len(found) - len(failed)
    cores = [result["cores"] for result in found if result["cores"] is not None]
    sys.stdout.write(
        f"networks     {len(found)} of seed {seed} ({', '.join(KINDS)}), {n_equal} equal "
        f"in every spike and counter, on {max(cores, default=0)} cores at most\n"
    )
    return 1 if failed else 0


def main(words: Sequence[str] | None = None) -> int:
    """The command line; its exit status."""
    words = sys.argv[1:] if words is None else list(words)
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seeds", type=at_least_one, default=100, help="networks of each kind")
    parser.add_argument("--seed", type=int, default=0, help="that all derive from")
    add_cluster_option(parser)
    options = parser.parse_args(words)
    with stops_in_time():
        try:
            return fuzz(options.seeds, options.seed, options.cluster)
        except (Exception, KeyboardInterrupt) as error:
            return translate(error, ["fuzz", *words])


if __name__ == "__main__":
    sys.exit(main())
