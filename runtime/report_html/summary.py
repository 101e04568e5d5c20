# SPDX-License-Identifier: Apache-2.0
"""The head of the page: what ran, whether it is exact, and the figures that matter most."""

import math
from collections import Counter

from ..report.energy import energy_text
from ..report.figures import CLOCK_HZ, images_per_second
from ..report.screen import STAGES, amount, output_text, virtual_text
from .run import Run
from .text import compact, escape, percent, section, whole


def header(run: Run) -> str:
    """Title, data and verdict."""
    report = run.report
    pills = "".join(_pill(title, report["bit_exact"][key]) for key, title in STAGES.items())
    wrong = "".join(f"<li>{escape(text)}</li>" for text in report["differences"])
    return (
        f"<header>\n<p class='kind'>stemcore · run report</p>\n"
        f"<h1>{escape(report['model'])} <span>on {escape(report['dataset'])}</span></h1>\n"
        f"<p class='lead'>{amount(report['images'], 'image')} through engine "
        f"'{escape(run.engine)}'; {escape(report['data'])}.</p>\n"
        f"<p class='pills'>{pills}</p>\n"
        + (f"<ul class='differences'>{wrong}</ul>\n" if wrong else "")
        + "</header>\n"
    )


def _pill(title: str, verdict: bool | None) -> str:
    kind, text = {
        True: ("yes", "every spike equal"),
        False: ("no", "DIFFERENT"),
        None: ("none", "not run"),
    }[verdict]
    return f'<span class="pill {kind}"><b>{title}</b> {text}</span>'


def summary_section(run: Run) -> str:
    """Tiles of figures, then the settings."""
    tiles = "".join(
        f'<div class="tile"><span>{escape(title)}</span><strong>{escape(value)}</strong>'
        f"<small>{escape(note)}</small></div>\n"
        for title, value, note in _tiles(run)
    )
    settings = "".join(
        f"<dt>{escape(title)}</dt><dd>{escape(text)}</dd>" for title, text in _settings(run)
    )
    return section("summary", "Summary", [f'<div class="tiles">{tiles}</div>\n<dl>{settings}</dl>'])


def _tiles(run: Run) -> list[tuple[str, str, str]]:
    report = run.report
    tiles = [*_accuracy_tile(run), *_cycle_tiles(run)]
    layers = run.populations[1:]
    spikes = sum(int(run.spikes(p).sum()) for p in layers) / len(run.images)
    possible = sum(math.prod(p.shape) * p.bits for p in layers)
    sops = _sops(run)
    if sops is not None:
        share = sops / report["macs_per_image"] if report["macs_per_image"] else None
        tiles.append(
            (
                "SOPs per image",
                compact(sops),
                f"{compact(report['macs_per_image'])} MACs"
                + (f", {share:.2f} SOPs each" if share else ""),
            )
        )
    else:
        tiles.append(("MACs per image", compact(report["macs_per_image"]), "of the network"))
    tiles.append(
        (
            "spikes per image",
            compact(spikes),
            f"{percent(spikes / possible, 1)} of all that could be",
        )
    )
    if run.energy is not None:
        memory = run.energy["energy_memory"]
        ann = energy_text(memory["ann"]["pj_per_image"])
        tiles.append(
            (
                "energy per image",
                energy_text(memory["pj_per_image"]),
                f"with memories and links; the ANN on the same memories {ann}",
            )
        )
    if run.program:
        tiles.append(
            (
                "chip",
                amount(report["cores"], "core"),
                f"{report['lanes']} lanes each, {report['mesh'][0]} × {report['mesh'][1]} nodes",
            )
        )
    if "lane_utilisation" in report:
        tiles.append(
            (
                "lanes filled",
                percent(report["lane_utilisation"], 1),
                "while accumulating, all cores",
            )
        )
    return tiles


def _accuracy_tile(run: Run) -> list[tuple[str, str, str]]:
    """The share of right answers, where the right ones are known."""
    report = run.report
    accuracy = report["accuracy"]
    if accuracy is None:
        return []
    if run.dataset is None:
        return [("right", percent(accuracy), f"of {amount(report['images'], 'image')}")]
    note = f"float {percent(accuracy['float'])}, {amount(accuracy['images'], 'test image')}"
    if accuracy["rtl"] is not None:
        note += f"; RTL {percent(accuracy['rtl'])} of {report['images']}"
    return [(f"{report['metric']}, quantized", percent(accuracy["quantized"]), note)]


def _sops(run: Run) -> float | None:
    if run.counters is None:
        return None
    return sum(c["sops"] for c in run.counters.values()) / len(run.images)


def _cycle_tiles(run: Run) -> list[tuple[str, str, str]]:
    estimate = run.report.get("estimate", {})
    tiles = []
    for key, title in (("interval", "cycles between images"), ("latency", "cycles, first image")):
        value, guess = run.cycles.get(key), estimate.get(key)
        if value is None and guess is None:
            continue
        if value is None:
            value, note = guess, "estimated from the spikes"
        else:
            note = "measured" if guess is None else f"measured; estimated {whole(guess)}"
        if key == "interval":
            rate = images_per_second(value)
            note += f"; {compact(rate)} images/s at {CLOCK_HZ / 1e6:.0f} MHz"
        tiles.append((title, whole(value), note))
    return tiles


def _settings(run: Run) -> list[tuple[str, str]]:
    report = run.report
    forms = Counter(report["bias"].values())
    settings = [
        ("network", f"{report['neurons']:,} neurons, {report['parameters']:,} parameters"),
        ("weights", str(report["weights"])),
        ("profile", str(report["profile"])),
        ("biases", ", ".join(f"{amount(n, 'layer')}: {form}" for form, n in forms.items())),
        ("activation tables", str(report["tables"])),
        ("integration", str(report["integration"]["mode"])),
    ]
    settings += [
        (title, str(report[key]))
        for key, title in (("outputs", "outputs"), ("tail", "on the host, after the chip"))
        if key in report
    ]
    several = report.get("fidelity", {}).get("outputs", ())
    settings += [("output", output_text(output)) for output in several]
    settings += [("read as", note) for note in report.get("notes", ())]
    if "overflow_proved" in report:
        settings.append(
            (
                "potentials",
                "proved to fit"
                if report["overflow_proved"]
                else "bounded by calibration images, guarded by the overflow flag",
            )
        )
    if "overflow" in report:
        settings.append(("overflow flag", "RAISED" if report["overflow"] else "never raised"))
    if "virtual_cores" in report:
        settings.append(("cores in turn", virtual_text(report["virtual_cores"])))
    if "simulation" in report:
        figures = report["simulation"]
        text = (
            f"{figures['engine']}: {figures['cycles']:,} cycles in {figures['wall_s']:.1f} s, "
            f"built in {figures['build_s']:.1f} s"
        )
        settings.append(("simulation", text))
    return settings
