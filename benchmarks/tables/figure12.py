# SPDX-License-Identifier: Apache-2.0
"""Figure 12: STEM beside direct and position coding, with the same weights and with trained ones.

The paper cites a work on distillation for "position encoding" and says no more. Here the position
of a value's only spike tells the value. Hidden neurons that share STEM's weights fire that way too
(:mod:`stemcore.golden.network.other_codes`); LIF networks trained for the code get such an image
(:func:`stemcore.models.lif.position_code`), and their hidden neurons fire as LIF neurons do.
"""

from collections.abc import Sequence

from . import published
from .subjects import CODE_IMAGES, STEPS, Figures, Subject
from .table import Row, Table, counterpart, relative

SAME = "the paper trains LIF networks for the other codes (12(b)); here all share the same weights"
CHART = "the paper's figure is a chart, its text has no number"
NOTE = (
    f"T = {STEPS} for all, {CODE_IMAGES} images; first and last layer left out. STEM: the network "
    "with ReLU, 8 bits. Direct, position: the same layers with LIF neurons, trained so."
)


def _total(figures: Figures) -> float:
    return sum(figures["sops"].values()) / 1e6


def same_weights(subjects: Sequence[Subject]) -> Table:
    """The three codes of one network's integers."""
    rows = []
    for subject in subjects:
        try:
            figures = subject.codes()
        except ValueError as error:
            rows.append(Row(subject.name, "direct coding", None, None, f"has none: {error}"))
            continue
        for code in ("STEM", "direct", "position"):
            entry = figures[code]
            rows += [
                Row(
                    subject.name,
                    f"{code}: accuracy, %",
                    entry["score"],
                    None,
                    SAME,
                    images=entry["images"],
                    error=entry["error"],
                ),
                Row(subject.name, f"{code}: SOPs of hidden layers, M", _total(entry), None, SAME),
            ]
    return Table(
        "Fig. 12",
        "Spike codes",
        "% or millions",
        f"T = {STEPS} for all, {CODE_IMAGES} images; first and last layer left out.",
        tuple(rows),
    )


def _compared(subjects: Sequence[Subject]) -> list[tuple[Subject, dict[str, Figures]]]:
    """Each network that has trained spiking forms, and the figures of every code, STEM first."""
    found = []
    for subject in subjects:
        forms = subject.trained_codes()
        if forms:
            stem = {**forms["STEM"], **subject.codes()["STEM"]}
            found.append((subject, {**forms, "STEM": stem}))
    return found


def layers(subjects: Sequence[Subject]) -> Table:
    """Figure 12(a)."""
    rows = [
        Row(subject.name, f"{layer}: {code}", figures["sops"][layer] / 1e6, None, CHART)
        for subject, codes in _compared(subjects)
        for layer in codes["STEM"]["sops"]
        for code, figures in codes.items()
    ]
    return Table(
        "Fig. 12(a)",
        "Trained spike codes: SOPs of each hidden layer",
        "millions",
        f"{NOTE} The paper: fewer with depth, and STEM fewer in early layers.",
        tuple(rows),
    )


def trained(subjects: Sequence[Subject]) -> Table:
    """Figure 12(b)."""
    rows = []
    for subject, codes in _compared(subjects):
        near = counterpart(subject.model, subject.dataset)
        quantized = published.SCALED.get(near.name, (None, None, None))[1]
        for code, figures in codes.items():
            is_stem, whole, sops = code == "STEM", figures["all"], _total(figures)
            why = (
                f"{figures['epochs']} epochs; in float {whole['score']:.2f} % of "
                f"{whole['images']} test images; {near.apart if is_stem else CHART}"
            )
            less = "" if is_stem else f"; STEM's {relative(_total(codes['STEM']), sops):+.1f} %"
            rows += [
                Row(
                    subject.name,
                    f"{code}: accuracy, %",
                    figures["score"],
                    quantized if is_stem else None,
                    why,
                    images=figures["images"],
                    error=figures["error"],
                    comparable=near.same_task,
                ),
                Row(subject.name, f"{code}: SOPs of hidden layers, M", sops, None, CHART + less),
            ]
    return Table(
        "Fig. 12(b)",
        "Trained spike codes: accuracy and SOPs",
        "% or millions",
        f"{NOTE} The paper: STEM is more accurate, with fewer SOPs than codes by frequency.",
        tuple(rows),
    )
