# SPDX-License-Identifier: Apache-2.0
"""The lowered network in numpy, layer by layer: the reference for all others."""

import time
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT, Network
from stemcore.golden.spec.params import ChipParams

from .engine import NetworkEngine, RunOptions
from .result import RunResult


class Golden(NetworkEngine):
    """Integers of every population; no chip, no clock, no counters."""

    name: ClassVar[str] = "golden"
    summary: ClassVar[str] = "the lowered network in numpy, needs no chip"

    def run(
        self,
        network: Network,
        params: ChipParams,
        images: NDArray[np.integer],
        *,
        options: RunOptions,
    ) -> RunResult:
        """Also raises ``ValueError`` for a potential that does not fit ``params.acc_width``."""
        started = time.perf_counter()
        values = run_network(network, images, acc_width=params.acc_width)
        wall_s = time.perf_counter() - started
        if options.progress is not None:
            options.progress(len(images), 0)
        return RunResult(
            engine=self.name,
            outputs=network.joined(values),
            values={name: array for name, array in values.items() if name != INPUT},
            wall_s=wall_s,
        )
