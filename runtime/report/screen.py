# SPDX-License-Identifier: Apache-2.0
"""The report of a run as text of at most 80 columns: a table of layers, and lines below it."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from .energy import PARTS, energy_text
from .figures import CLOCK_HZ, images_per_second, rate_text
from .schema import AGREEMENT

LINE_WIDTH = 80
NAME_WIDTH = 12  # of what stands before a text; the text begins a blank later
LAYER_WIDTH = 20  # of a layer's name, whose end tells more than its beginning

HEAD = ("layer", "neurons", "cores", "MACs", "SOPs", "spikes", "cycles", "lanes")
STAGES = {
    "torch_golden": "torch = golden",
    "golden_program": "golden = program",
    "golden_rtl": "golden = RTL",
}


def amount(number: int, noun: str) -> str:
    """1 core, 2 cores."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def entry(name: str, text: str, width: int = LINE_WIDTH) -> str:
    """``name`` and ``text`` side by side, in lines of ``width`` at most that begin below the text.

    Words longer than a line, paths mostly, stay whole.
    """
    return textwrap.fill(
        text,
        width,
        initial_indent=f"{name:<{NAME_WIDTH}} ",
        subsequent_indent=" " * (NAME_WIDTH + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )


def shortened(text: str, length: int) -> str:
    """The end of a long name, which is where names of layers differ."""
    return text if len(text) <= length else "…" + text[len(text) - length + 1 :]


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1e9:
        return f"{value / 1e9:.2f}G"
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    if value >= 1e4:
        return f"{value / 1e3:.1f}k"
    return f"{value:.0f}"


def table(report: Mapping[str, Any]) -> str:
    """Layers, per image; cycles of the busiest core, ``lanes`` the share of them that adds.

    A dash where the engine has no clock, or no cores.
    """
    lines: list[tuple[str, ...]] = [HEAD]
    for row in report["layers"]:
        lines.append(
            (
                shortened(row["name"], LAYER_WIDTH),
                _cell(row["neurons"]),
                _cell(row["cores"]),
                *(_cell(row[key]) for key in ("macs", "sops", "spikes", "cycles")),
                _percent(row["utilisation"]),
            )
        )
    lines.append(
        (
            "all",
            _cell(report["neurons"]),
            _cell(report.get("cores")),
            _cell(report["macs_per_image"]),
            _cell(report["sops_per_image"]),
            _cell(report["spikes_per_image"]),
            "",
            _percent(report.get("lane_utilisation")),
        )
    )
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    text = []
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        text.append("  ".join(cells))
        if number in (0, len(lines) - 2):
            text.append("-" * len(text[-1]))
    return "\n".join(text)


def summary(report: Mapping[str, Any]) -> str:
    """The lines below the table; of whatever the engine knows."""
    return "\n".join(entry(name, text) for name, text in _lines(report))


def _lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _accuracy(report)
    yield from _times(report)
    if "energy_memory" in report:
        yield from _energy(report)
    if "cores" in report:
        columns, rows = report["mesh"]
        chip = f"{report['cores']} cores of {report['lanes']} lanes on {columns} x {rows} nodes"
        yield "chip", f"{chip}; {report['parameters']:,} parameters"
    if "virtual_cores" in report:
        yield "in turn", virtual_text(report["virtual_cores"])
    if "tail" in report:
        yield "host", f"{report['tail']}: computed after the chip"
    if "simulation" in report:
        run = report["simulation"]
        speed = f"{run['cycles_per_s'] / 1e3:,.0f}k cycles/s"
        took = f"{run['cycles']:,} cycles in {run['wall_s']:.1f} s ({speed})"
        yield "simulation", f"{took}, built in {run['build_s']:.1f} s"
    if "samples" in report.get("board", {}):
        board = report["board"]
        took = f"{board['bytes_in']:,} bytes in, {board['bytes_out']:,} out"
        yield "images", f"{board['samples']}; {took}, in {board['run_s']:.1f} s"
    verdicts = {True: "equal", False: "DIFFERENT", None: "not run"}
    found = [f"{STAGES[key]}: {verdicts[value]}" for key, value in report["bit_exact"].items()]
    yield "spike trains", ", ".join(found)


def virtual_text(turns: Mapping[str, Any]) -> str:
    """How cores took turns: load, compute and transfer."""
    columns, rows = turns["mesh"]
    computed = turns["compute_cycles"]
    compute = "" if computed is None else f", compute {computed:,.0f} cycles"
    return (
        f"{amount(turns['cores_on_chip'], 'core')} at a time on {columns} x {rows} nodes, "
        f"{amount(len(turns['groups']), 'group')}, each loaded once for a batch of "
        f"{amount(turns['batch'], 'image')}; per image: load {turns['load_cycles']:,.0f} cycles"
        f"{compute}, transfer {turns['flits_in']:,.0f} flits in and {turns['flits_out']:,.0f} out"
    )


def _accuracy(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    accuracy = report["accuracy"]
    has_labels = report.get("metric") != AGREEMENT
    text = f"float {_share(accuracy['float'])}, " if has_labels else "with the float network: "
    text += f"quantized {_share(accuracy['quantized'])} ({accuracy['images']} test images)"
    if accuracy["rtl"] is not None:
        n = report["images"]
        text += f", RTL {_share(accuracy['rtl'])} ({amount(n, 'image')})"
    yield report.get("metric", "accuracy"), text
    if "fidelity" in report:
        yield "SQNR", _fidelity(report["fidelity"], not has_labels)
        for output in report["fidelity"].get("outputs", ()):
            yield "output", output_text(output)
    yield "data", report["data"]


def _fidelity(fidelity: Mapping[str, Any], has_no_labels: bool) -> str:
    """Signal to quantization noise: of the output and the worst layer, or of every layer."""
    found = fidelity["sqnr_db"]
    ratios = {name: value for name, value in found.items() if value is not None}
    images = f"float against quantized on {amount(fidelity['images'], 'image')}"
    if not ratios:
        return f"no noise; {images}"
    if has_no_labels:
        return ", ".join(f"{name} {value:.1f} dB" for name, value in ratios.items()) + f"; {images}"
    worst = min(ratios, key=lambda name: ratios[name])
    least = f"least {ratios[worst]:.1f} dB ({worst}); {images}"
    if "outputs" in fidelity:  # which have lines of their own
        return least
    output = found[list(found)[-1]]
    return f"output {'none' if output is None else f'{output:.1f} dB'}, {least}"


def output_text(output: Mapping[str, Any]) -> str:
    """Agreement and SQNR of one output of several."""
    share, ratio = output["agreement"], output["sqnr_db"]
    same = "" if share is None else f"largest value the float network's in {_share(share)}, "
    noise = "no noise" if ratio is None else f"{ratio:.1f} dB"
    return f"{output['name']}: {same}{noise}"


def _times(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """First image and interval, measured and estimated, whichever there are."""
    measured, guess = report.get("cycles_per_image", {}), report.get("estimate", {})
    for key, name, what in (
        ("latency", "latency", "from the first flit in to the last one out"),
        ("interval", "interval", "from image to image"),
    ):
        value, estimated = measured.get(key), guess.get(key)
        if value is None and estimated is None:
            continue
        if value is None:
            text = f"{estimated:,.0f} cycles {what}, estimated"
        else:
            text = f"{value:,.0f} cycles {what}"
            text += "" if estimated is None else f" (estimated {estimated:,.0f})"
        if key == "interval":
            rate = images_per_second(estimated if value is None else value)
            text += f": {rate_text(rate)} images/s at {CLOCK_HZ / 1e6:.0f} MHz"
        yield name, text


def _energy(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Like with like: memories with memories, operations with operations."""
    memory = report["energy_memory"]
    ann, total = memory["ann"], memory["pj_per_image"]
    largest = sorted(memory["parts"].items(), key=lambda item: -item[1])[:2]
    shares = ", ".join(f"{PARTS[name][0]} {100 * pj / total:.0f} %" for name, pj in largest)
    ours = f"{energy_text(total)} per image with memories and links ({shares})"
    in_memory, in_registers = (
        energy_text(ann[key]) for key in ("pj_per_image", "pj_per_image_in_registers")
    )
    theirs = f"{in_memory}, {in_registers} with partial sums in registers"
    yield "energy", f"{ours}; the ANN on the same memories: {theirs}"
    additions, macs = (
        energy_text(report[key]) for key in ("energy_pj_per_image", "ann_energy_pj_per_image")
    )
    alone = f"{additions} of additions, the ANN's multiply-accumulates {macs}"
    yield "", f"operations alone: {alone}; 45 nm, models in report.json"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _share(value: float) -> str:
    return f"{100 * value:.2f} %"
