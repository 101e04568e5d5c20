# SPDX-License-Identifier: Apache-2.0
"""The figures of a run, as report.json has them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.files import write_whole
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import n_sops
from stemcore.golden.network.network import Network
from stemcore.golden.program.program import LayerInfo, Program
from stemcore.golden.spec.routing import Node

from ..engines.result import Counters, RunResult, VirtualRun
from .energy import energy_figures, paper_energy

# Rates in time are stated at this clock; cycles are what is measured. An assumption, not a result
# of synthesis: `make synth` says what a board reaches.
CLOCK_HZ = 100e6


def images_per_second(interval: float) -> float:
    """Rate at ``CLOCK_HZ`` of images that follow each other every ``interval`` cycles."""
    return CLOCK_HZ / interval


def rate_text(rate: float) -> str:
    """Images a second for people: whole ones, and two digits where there are few."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def layer_rows(
    program: Program, counters: Mapping[Node, Counters], n_images: int
) -> list[dict[str, Any]]:
    """Per layer and image: what the counters of its cores say over ``n_images``.

    ``cycles`` are accumulate cycles of the busiest core (dendrite busy, or spikes waiting), and
    ``utilisation`` is SOPs / (lanes * accumulate cycles), over all cores of the layer; both are
    None, like what update and fire take, where the counters are of an engine without a clock.
    """
    rows = []
    for layer in program.layers:
        name = layer.population.name
        own = [counters[core.x, core.y] for core in program.cores if core.layer == name]
        total = {key: sum(c[key] for c in own) for key in ("sops", "fired", "spikes_out")}
        rows.append(
            {
                **_layer_sizes(layer),
                "cores": len(own),
                "sops": total["sops"] / n_images,
                "spikes": total["fired"] / n_images,
                "packets": total["spikes_out"] / n_images,
                **_layer_cycles(own, program.params.lanes, n_images),
            }
        )
    return rows


# Of engines without a clock.
NO_CYCLES = dict.fromkeys(("cycles", "update_cycles", "fire_cycles", "utilisation"))


def _layer_cycles(
    counters: Sequence[Counters], lanes: int, n_images: int
) -> Mapping[str, float | None]:
    if "stalled" not in counters[0]:
        return NO_CYCLES
    accumulate = [c["busy"] + c["stalled"] for c in counters]
    sops = sum(c["sops"] for c in counters)
    return {
        "cycles": max(accumulate) / n_images,
        "update_cycles": max(c["update_cycles"] for c in counters) / n_images,
        "fire_cycles": max(c["fire_cycles"] for c in counters) / n_images,
        "utilisation": sops / (lanes * max(1, sum(accumulate))),
    }


def _layer_sizes(layer: LayerInfo) -> dict[str, Any]:
    return {
        "name": layer.population.name,
        "shape": list(layer.shape),
        "neurons": int(np.prod(layer.shape)),
        "parameters": layer.n_parameters,
        "macs": layer.n_macs,
    }


def golden_figures(
    network: Network, layers: Iterable[LayerInfo], values: Mapping[str, NDArray[np.int64]]
) -> dict[str, Any]:
    """Figures of a run in golden, per image: spikes, and the synapses that these meet.

    ``values`` are the integers that every population fires, the input among them.
    """
    sops = n_sops(network, values)
    rows = []
    for layer in layers:
        population = layer.population
        spikes = count_spikes(values[population.name], population.bits)
        rows.append(
            {
                **_layer_sizes(layer),
                "cores": None,
                "sops": float(sops[population.name].mean()),
                "spikes": float(spikes.sum()) / len(spikes),
                "packets": None,
                **NO_CYCLES,
            }
        )
    return {
        **_sums(rows),
        **paper_energy(sum(row["sops"] for row in rows), sum(row["macs"] for row in rows)),
        "layers": rows,
    }


def _sums(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    rows = tuple(rows)
    return {f"{key}_per_image": sum(row[key] for row in rows) for key in ("sops", "spikes")}


def chip_figures(
    program: Program, counters: Mapping[Node, Counters], n_images: int
) -> dict[str, Any]:
    """Figures of a run of any engine that counts what its cores do, per image."""
    rows = layer_rows(program, counters, n_images)
    return {**_sums(rows), **energy_figures(program, counters, n_images), "layers": rows}


def timing_figures(rtl: RunResult) -> dict[str, float | None]:
    """Latency and interval of images, in cycles.

    Latency: from the host's first flit of an image that finds the chip empty (the first) to its
    last END; None where the engine does not know the start. Interval: mean distance of the ends of
    images that follow each other, without a reset between them; None where none do. Where cores
    take turns, the interval is an image's share of all cycles, loading included.
    """
    timing = rtl.timing
    assert timing is not None
    latency = float(timing.end[0] - timing.start[0]) if len(timing.start) else None
    follows = np.ones(len(timing.end), bool)
    follows[list(timing.begins)] = False
    distances = np.diff(timing.end)[follows[1:]]
    interval = float(distances.mean()) if len(distances) else None
    if rtl.virtual is not None and len(timing.end):
        interval = timing.total / len(timing.end)
    return {"latency": latency, "interval": interval}


# Notes of our own engines that report.json has fields for.
NOTES = ("node_cycles", "load_cycles", "threads", "shared_cycles")


def no_clock(rtl: RunResult | None) -> dict[str, Any]:
    """What takes the place of :func:`clock_figures` for an engine that has none.

    What a board noted stands there as well.
    """
    found: dict[str, Any] = {
        "cycles_per_image": dict.fromkeys(("latency", "interval", "busiest_core"))
    }
    return found | ({"board": dict(rtl.notes)} if rtl is not None and rtl.notes else {})


def clock_figures(rtl: RunResult) -> dict[str, Any]:
    """Figures of a run that has a clock: cycles of images, and how fast they were simulated."""
    assert rtl.timing is not None
    known = {name: rtl.notes[name] for name in NOTES if name in rtl.notes}
    others = {name: value for name, value in rtl.notes.items() if name not in NOTES}
    return {
        "cycles_per_image": {**timing_figures(rtl), "busiest_core": None},
        "simulation": {
            "engine": rtl.engine,
            "build_s": round(rtl.build_s, 2),
            "wall_s": round(rtl.wall_s, 2),
            "cycles": int(rtl.timing.total),
            "cycles_per_s": rtl.timing.total / max(rtl.wall_s, 1e-9),
            **known,
            **({"notes": others} if others else {}),
        },
    }


def steady_utilisation(program: Program, rtl: RunResult, n_images: int, interval: float) -> float:
    """SOPs of the busiest core per lane and cycle of the interval."""
    assert rtl.counters is not None
    busiest = max(rtl.counters.values(), key=lambda c: c["busy"])
    return busiest["sops"] / n_images / (program.params.lanes * interval)


def rtl_figures(program: Program, rtl: RunResult, n_images: int) -> dict[str, Any]:
    """Figures of a run on the gateware that has both a clock and its counters."""
    assert rtl.counters is not None
    counters = rtl.counters.values()
    figures = chip_figures(program, rtl.counters, n_images) | clock_figures(rtl)
    cycles = figures["cycles_per_image"]
    cycles["busiest_core"] = max(c["busy"] for c in counters) / n_images
    accumulate = sum(c["busy"] + c["stalled"] for c in counters)
    sops = figures["sops_per_image"] * n_images
    return {
        **figures,
        "lane_utilisation": sops / (program.params.lanes * max(1, accumulate)),
        "steady_lane_utilisation": (
            steady_utilisation(program, rtl, n_images, cycles["interval"])
            if cycles["interval"] and rtl.virtual is None
            else None
        ),
        "overflow": any(c["overflow"] for c in counters),
    }


def virtual_figures(run: VirtualRun, n_images: int) -> dict[str, Any]:
    """How cores took turns: what was loaded, computed and transferred."""
    groups = [asdict(group) for group in run.groups]
    return {
        "cores_on_chip": run.n_cores,
        "mesh": list(run.mesh),
        "batch": run.batch,
        "batches": run.n_batches,
        "load_cycles": sum(group.load_flits for group in run.groups) * run.n_batches / n_images,
        "compute_cycles": _sum_or_none(group.cycles for group in run.groups),
        "flits_in": sum(group.flits_in for group in run.groups),
        "flits_out": sum(group.flits_out for group in run.groups),
        "groups": groups,
    }


def _sum_or_none(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def size_figures(program: Program) -> dict[str, Any]:
    """Figures that need no run."""
    return {
        "cores": len(program.cores),
        "mesh": [program.columns, program.rows],
        "lanes": program.params.lanes,
        **network_figures(program.layers),
        "overflow_proved": program.overflow_proved,
    }


def network_figures(layers: Iterable[LayerInfo]) -> dict[str, int]:
    """Figures that need no chip."""
    layers = tuple(layers)
    return {
        "neurons": sum(int(np.prod(layer.shape)) for layer in layers),
        "parameters": sum(layer.n_parameters for layer in layers),
        "macs_per_image": sum(layer.n_macs for layer in layers),
    }


def write_json(path: Path, report: Mapping[str, Any]) -> None:
    """Writes the report whole or not at all."""
    write_whole(path, json.dumps(report, indent=2) + "\n")
