# SPDX-License-Identifier: Apache-2.0
"""A run whose counters were made up, for tests of what reports make of them."""

import numpy as np

from stemcore.runtime.engines.result import RunResult, Timing
from stemcore.runtime.report import figures as reports
from tests.support.hand_programs import conv_chain_program

NODES = ((0, 1), (1, 1), (0, 2))  # conv, conv, dense


def counters(sops, busy, stalled, *, overflow=0):
    return {
        "sops": sops,
        "busy": busy,
        "stalled": stalled,
        "spikes_in": 40,
        "spikes_out": 30,
        "fired": 20,
        "update_cycles": 10 * busy,
        "fire_cycles": 100,
        "samples": 2,
        "hops": 7,
        "overflow": overflow,
    }


def made_up_run():
    """The program (4 lanes) and a run of two images."""
    program, _ = conv_chain_program()
    made_up = (counters(1200, 400, 100), counters(800, 250, 50), counters(90, 30, 10))
    result = RunResult(
        engine="verilator",
        outputs=np.zeros((2, 3, 1, 1), np.int64),
        values={},
        counters=dict(zip(NODES, made_up, strict=True)),
        timing=Timing(
            start=np.array([100, 700]), end=np.array([1100, 1900]), layer_ends={}, total=2500
        ),
        build_s=1.234,
        wall_s=0.5,
        notes={"node_cycles": 7000},
    )
    return program, result


def made_up_report():
    """What `make sim` would report of it."""
    program, result = made_up_run()
    figures = reports.rtl_figures(program, result, 2)
    estimate = {"interval": 812.4, "latency": 1010.0}
    figures["cycles_per_image"] |= {f"estimated_{key}": value for key, value in estimate.items()}
    return {
        "model": "m",
        "dataset": "d",
        "data": "made up",
        "images": 2,
        "bit_exact": {"torch_golden": True, "golden_program": False, "golden_rtl": None},
        "accuracy": {"float": 0.9875, "quantized": 0.98, "rtl": None, "images": 360},
        **reports.size_figures(program),
        **figures,
        "estimate": estimate,
    }
