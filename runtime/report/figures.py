# SPDX-License-Identifier: Apache-2.0
"""The report of a run: report.json, and the table on the screen."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stemcore.golden.program.program import LayerInfo, Program

from ..engines.result import RunResult
from .energy import energy_figures, energy_text


def layer_rows(program: Program, rtl: RunResult, n_images: int) -> list[dict[str, Any]]:
    """Per layer and image: what the counters of its cores say.

    ``cycles`` are accumulate cycles of the busiest core (dendrite busy, or spikes waiting), and
    ``utilisation`` is SOPs / (lanes * accumulate cycles), over all cores of the layer.
    """
    assert rtl.counters is not None
    rows = []
    for layer in program.layers:
        name = layer.population.name
        cores = [core for core in program.cores if core.layer == name]
        counters = [rtl.counters[core.x, core.y] for core in cores]
        total = {key: sum(c[key] for c in counters) for key in counters[0]}
        accumulate = [c["busy"] + c["stalled"] for c in counters]
        rows.append(
            {
                "name": name,
                "shape": list(layer.shape),
                "neurons": int(np.prod(layer.shape)),
                "parameters": layer.n_parameters,
                "cores": len(cores),
                "macs": layer.n_macs,
                "sops": total["sops"] / n_images,
                "spikes": total["fired"] / n_images,
                "packets": total["spikes_out"] / n_images,
                "cycles": max(accumulate) / n_images,
                "update_cycles": max(c["update_cycles"] for c in counters) / n_images,
                "fire_cycles": max(c["fire_cycles"] for c in counters) / n_images,
                "utilisation": total["sops"] / (program.params.lanes * max(1, sum(accumulate))),
            }
        )
    return rows


def timing_figures(rtl: RunResult) -> dict[str, float | None]:
    """Latency and interval of images, in cycles.

    Latency: from the host's first flit of an image that finds the chip empty (the first) to its
    last END. Interval: mean distance of the ends of successive images; None for a single image.
    """
    timing = rtl.timing
    assert timing is not None
    latency = float(timing.end[0] - timing.start[0])
    interval = float(np.diff(timing.end).mean()) if len(timing.end) > 1 else None
    return {"latency": latency, "interval": interval}


def steady_utilisation(program: Program, rtl: RunResult, n_images: int, interval: float) -> float:
    """SOPs of the busiest core per lane and cycle of the interval."""
    assert rtl.counters is not None
    busiest = max(rtl.counters.values(), key=lambda c: c["busy"])
    return busiest["sops"] / n_images / (program.params.lanes * interval)


def rtl_figures(program: Program, rtl: RunResult, n_images: int) -> dict[str, Any]:
    """Figures of a run on the gateware, for report.json."""
    rows = layer_rows(program, rtl, n_images)
    sops = sum(row["sops"] for row in rows)
    cycles: dict[str, float | None] = timing_figures(rtl)
    busiest = max(c["busy"] for c in (rtl.counters or {}).values())
    cycles["busiest_core"] = busiest / n_images
    accumulate = sum(c["busy"] + c["stalled"] for c in (rtl.counters or {}).values())
    assert rtl.timing is not None
    return {
        "cycles_per_image": cycles,
        "sops_per_image": sops,
        "spikes_per_image": sum(row["spikes"] for row in rows),
        **energy_figures(program, rtl.counters or {}, n_images),
        "lane_utilisation": sops * n_images / (program.params.lanes * max(1, accumulate)),
        "steady_lane_utilisation": (
            steady_utilisation(program, rtl, n_images, cycles["interval"])
            if cycles["interval"]
            else None
        ),
        "overflow": any(c["overflow"] for c in (rtl.counters or {}).values()),
        "simulation": {
            "engine": rtl.engine,
            "build_s": round(rtl.build_s, 2),
            "wall_s": round(rtl.wall_s, 2),
            "cycles": rtl.timing.total,
            "cycles_per_s": rtl.timing.total / max(rtl.wall_s, 1e-9),
            **rtl.notes,
        },
        "layers": rows,
    }


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
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=2) + "\n")
    temporary.replace(path)


def _cell(value: float) -> str:
    if value >= 1e9:
        return f"{value / 1e9:.2f}G"
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 1e4:
        return f"{value / 1e3:.1f}k"
    return f"{value:.0f}"


def table(report: Mapping[str, Any]) -> str:
    """The summary as text."""
    head = ("layer", "neurons", "cores", "MACs", "SOPs", "spikes", "cycles", "utilisation")
    lines = [head]
    for row in report["layers"]:
        lines.append(
            (
                row["name"],
                _cell(row["neurons"]),
                str(row["cores"]),
                _cell(row["macs"]),
                _cell(row["sops"]),
                _cell(row["spikes"]),
                _cell(row["cycles"]),
                f"{100 * row['utilisation']:.1f} %",
            )
        )
    lines.append(
        (
            "all",
            _cell(report["neurons"]),
            str(report["cores"]),
            _cell(report["macs_per_image"]),
            _cell(report["sops_per_image"]),
            _cell(report["spikes_per_image"]),
            "",
            f"{100 * report['lane_utilisation']:.1f} %",
        )
    )
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    text = []
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        text.append("  ".join(cells))
        if number in (0, len(lines) - 2):
            text.append("-" * len(text[-1]))
    return "\n".join(text)


def summary(report: Mapping[str, Any]) -> str:
    """The lines below the table."""
    accuracy, cycles = report["accuracy"], report["cycles_per_image"]
    simulation = report["simulation"]

    def share(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:.2f} %"

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:,.0f}"

    exact = ", ".join(
        f"{name.replace('_', ' = ')}: {'equal' if value else 'not run' if value is None else 'NOT'}"
        for name, value in report["bit_exact"].items()
    )
    lines = {
        report.get("metric", "accuracy"): f"float {share(accuracy['float'])}, quantized "
        f"{share(accuracy['quantized'])} ({accuracy['images']} test images), "
        f"RTL {share(accuracy['rtl'])} "
        f"({report['images']} images); {report['data']}",
        "cycles": f"latency {number(cycles['latency'])} (estimated "
        f"{number(cycles['estimated_latency'])}), interval {number(cycles['interval'])} "
        f"(estimated {number(cycles['estimated_interval'])}; busiest core "
        f"{number(cycles['busiest_core'])}) per image",
        "energy": f"{energy_text(report['energy_pj_per_image'])} per image in additions (the ANN: "
        f"{energy_text(report['ann_energy_pj_per_image'])}), "
        f"{energy_text(report['energy_memory']['pj_per_image'])} with memories and links; 45 nm, "
        "models in report.json",
        "chip": f"{report['cores']} cores of {report['lanes']} lanes on {report['mesh'][0]} x "
        f"{report['mesh'][1]} nodes; {report['parameters']:,} parameters",
        "simulation": f"{simulation['cycles']:,} cycles in {simulation['wall_s']:.1f} s "
        f"({simulation['cycles_per_s'] / 1e3:,.0f}k cycles/s), built in "
        f"{simulation['build_s']:.1f} s",
        "spike trains": exact,
    }
    return "\n".join(f"{name:<12} {text}" for name, text in lines.items())
