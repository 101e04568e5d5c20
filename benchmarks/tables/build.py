# SPDX-License-Identifier: Apache-2.0
"""The tables: each a function from the trained networks to rows of ours, the paper's and why."""

from collections.abc import Callable, Sequence

from stemcore.compiler.errors import CompileError
from stemcore.runtime.report.energy import MAC_PJ, SOP_PJ
from stemcore.runtime.report.schema import ACCURACY

from . import figure12, published
from .subjects import Subject
from .table import NO_COUNTERPART, Row, Table, counterpart, relative

BITS_IN_USE = (
    "Change of SOPs against no tables. Our scales give the least error instead of clipping "
    "nothing, so that activations use more of their bits: RoT removes a smaller share, DRLO a "
    "larger one."
)
ROT, DRLO = ("rot1", "rot2", "rot3"), ("drlo4", "drlo3", "drlo2")


def hardware(subjects: Sequence[Subject]) -> Table:
    """Table I."""
    rows = []
    for subject in subjects:
        figures = subject.plain()
        what = f"{figures['parameters'] / 1e6:.2f}M parameters, 8 bits, {figures['metric']}"
        near = [f for _, data, _, _, f in published.HARDWARE if data.lower() == subject.dataset]
        why = "best of the rows below on this data set" if near else NO_COUNTERPART
        rows.append(
            Row(
                subject.name,
                what,
                figures["score"],
                max(near) if near else None,
                f"{why}; ours is simulated RTL; {figures['provenance']}",
            )
        )
    rows += [
        Row(f"{chip}, {data}", f"{size} parameters, {bits} bits", None, figure, "published")
        for chip, data, size, bits, figure in published.HARDWARE
    ]
    note = "Ours: golden on test images; the RTL fires the same spikes."
    return Table("I", "Networks on neuromorphic hardware", "%", note, tuple(rows))


def conversion(subjects: Sequence[Subject]) -> Table:
    """Table II."""
    rows = []
    for subject in subjects:
        name, why = counterpart(subject.model, subject.dataset)
        figures, theirs = subject.plain(), published.ACCURACY.get(name or "")
        state = "every output equal" if figures["equal"] else "OUTPUTS DIFFER"
        rows += [
            Row(
                subject.name,
                "quantized network (torch)",
                figures["quantized"],
                theirs and theirs[0],
                why,
            ),
            Row(
                subject.name,
                "in spikes, T = 8 (golden)",
                figures["score"],
                theirs and theirs[1],
                f"{state} on {figures['images']} images; {why}",
            ),
        ]
    note = "Loss of the spiking form against the quantized network: 0."
    return Table("II", "Quantized network and its spiking form", "%", note, tuple(rows))


def integration(subjects: Sequence[Subject]) -> Table:
    """Table III."""
    rows = []
    for subject in subjects:
        name, why = counterpart(subject.model, subject.dataset)
        theirs = published.SCALED.get(name or "", (None, None, None))
        plain = subject.plain()
        rows += [
            Row(subject.name, "float", plain["float"], theirs[0], why),
            Row(subject.name, "quantized, exact integration", plain["score"], theirs[1], why),
        ]
        paper = subject.profile("paper")
        rows.append(
            Row(
                subject.name,
                "quantized, the paper's profile",
                paper["score"],
                theirs[1],
                f"one weight scale a layer, bias: {', '.join(paper['bias'])}; {why}",
            )
        )
        modes = (("scaled", theirs[2], why), ("late", None, "ours alone: late scaling"))
        for mode, published_score, said in modes:
            what = f"quantized, {mode} integration"
            try:
                score = subject.integrated(mode)["score"]
            except CompileError as error:
                rows.append(Row(subject.name, what, None, published_score, f"has none: {error}"))
                continue
            rows.append(Row(subject.name, what, score, published_score, said))
    return Table(
        "III",
        "Integration in 16 bits",
        "%",
        "Exact integration has 24 bits and loses nothing.",
        tuple(rows),
    )


def _tables(
    subjects: Sequence[Subject], names: Sequence[str], theirs: dict, part: int
) -> tuple[Row, ...]:
    """Change of accuracy (``part`` 0) or of operations (1) for one table in all layers."""
    rows = []
    for subject in subjects:
        name, why = counterpart(subject.model, subject.dataset)
        plain = subject.plain()
        for i, table in enumerate(names):
            figures = subject.with_table(table)
            ours = (
                figures["score"] - plain["score"]
                if part == 0
                else relative(figures["sops"], plain["sops"])
            )
            paper = theirs[name][part][i] if name in theirs else None
            rows.append(Row(subject.name, table, ours, paper, why))
    return tuple(rows)


def rot_accuracy(subjects: Sequence[Subject]) -> Table:
    """Table IV."""
    return Table(
        "IV",
        "RoT: accuracy",
        "points",
        "Change against no tables, the same r in all layers.",
        _tables(subjects, ROT, published.ROT, 0),
    )


def rot_operations(subjects: Sequence[Subject]) -> Table:
    """Table V."""
    return Table("V", "RoT: operations", "%", BITS_IN_USE, _tables(subjects, ROT, published.ROT, 1))


def drlo_accuracy(subjects: Sequence[Subject]) -> Table:
    """Table VI."""
    return Table(
        "VI",
        "DRLO: accuracy",
        "points",
        "Change against no tables, the same k in all layers.",
        _tables(subjects, DRLO, published.DRLO, 0),
    )


def drlo_operations(subjects: Sequence[Subject]) -> Table:
    """Table VII."""
    return Table(
        "VII", "DRLO: operations", "%", BITS_IN_USE, _tables(subjects, DRLO, published.DRLO, 1)
    )


def hybrid(subjects: Sequence[Subject]) -> Table:
    """Table VIII."""
    rows = []
    for subject in subjects:
        name, why = counterpart(subject.model, subject.dataset)
        found = subject.searched()
        if subject.plain()["metric"] != ACCURACY:
            rows.append(Row(subject.name, "no search", None, None, "it counts right answers"))
            continue
        if found is None:
            command = f"make sparsify MODEL={subject.model} DATASET={subject.dataset}"
            rows.append(Row(subject.name, "no search yet", None, None, f"run `{command}`"))
            continue
        before = found["none"]["test"]
        for scheme, entry in found["chosen"].items():
            theirs = published.HYBRID.get(name or "", (None, None)) if scheme == "hybrid" else None
            test = entry["test"]
            n_images = found["images"]["test"]
            said = f"{n_images} test images; {why}" if theirs else "ours alone: rate-distortion"
            accuracy, sops = theirs or (None, None)
            rows += [
                Row(
                    subject.name,
                    f"{scheme}: points of accuracy",
                    100 * (test["accuracy"] - before["accuracy"]),
                    accuracy,
                    said,
                ),
                Row(
                    subject.name,
                    f"{scheme}: % of SOPs",
                    relative(test["sops"], before["sops"]),
                    sops,
                    said,
                ),
            ]
    return Table(
        "VIII",
        "Tables searched per layer",
        "points or %",
        "The search sees training images alone.",
        tuple(rows),
    )


def energy(subjects: Sequence[Subject]) -> Table:
    """Table IX."""
    rows = []
    for subject in subjects:
        figures = subject.plain()
        mac, sop = figures["macs"] * MAC_PJ, figures["sops"] * SOP_PJ
        why = "the paper's figures of this table are not in the text that we have"
        rows += [
            Row(subject.name, f"ANN, {figures['macs'] / 1e6:.2f}M MACs", mac / 1e6, None, why),
            Row(subject.name, f"spikes, {figures['sops'] / 1e6:.2f}M SOPs", sop / 1e6, None, why),
        ]
    return Table(
        "IX",
        "Energy of additions and products",
        "uJ per image",
        f"{MAC_PJ} pJ per MAC, {SOP_PJ} pJ per SOP (45 nm); memories and links, which "
        "weigh more, are in report.json of `make sim`.",
        tuple(rows),
    )


TABLES: dict[str, Callable[[Sequence[Subject]], Table]] = {
    "I": hardware,
    "II": conversion,
    "III": integration,
    "IV": rot_accuracy,
    "V": rot_operations,
    "VI": drlo_accuracy,
    "VII": drlo_operations,
    "VIII": hybrid,
    "IX": energy,
    "12": figure12.same_weights,
    "12a": figure12.layers,
    "12b": figure12.trained,
}
