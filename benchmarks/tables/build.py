# SPDX-License-Identifier: Apache-2.0
"""The tables: each a function from the trained networks to rows of ours, the paper's and why."""

from collections.abc import Callable, Sequence

from stemcore.compiler.errors import CompileError
from stemcore.runtime.report.energy import MAC_PJ, SOP_PJ
from stemcore.runtime.report.schema import ACCURACY

from . import few_spikes, figure12, published
from .score import change_error
from .subjects import Figures, Subject
from .table import NO_COUNTERPART, Row, Table, counterpart, relative

BITS_IN_USE = (
    "Change of SOPs against no tables. Our scales give the least error instead of clipping "
    "nothing, so that activations use more of their bits: RoT removes a smaller share, DRLO a "
    "larger one."
)
Pair = tuple[tuple[float, ...], tuple[float, ...]]  # changes of accuracy, and of operations
AGAINST_NONE = "Change against no tables, with the standard error of the change on the same images;"
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
                images=figures["images"],
                error=figures["error"],
            )
        )
    rows += [
        Row(f"{chip}, {data}", f"{size} parameters, {bits} bits", None, figure, "published")
        for chip, data, size, bits, figure in published.HARDWARE
    ]
    note = "Ours: golden on test images; the RTL fires the same spikes."
    return Table("I", "Networks on neuromorphic hardware", "%", note, tuple(rows))


def _scored(
    subject: Subject, what: str, figures: Figures, paper: float | None, why: str | None = None
) -> Row:
    """A row for an accuracy or mAP of all the subject's images."""
    near = counterpart(subject.model, subject.dataset)
    return Row(
        subject.name,
        what,
        figures["score"],
        paper,
        near.apart if why is None else why,
        images=subject.plain()["images"],
        error=figures["error"],
        comparable=near.same_task,
    )


def conversion(subjects: Sequence[Subject]) -> Table:
    """Table II."""
    rows = []
    for subject in subjects:
        near, figures = counterpart(subject.model, subject.dataset), subject.plain()
        in_torch, in_spikes = published.ACCURACY.get(near.name, (None, None))
        state = "every output equal" if figures["equal"] else "OUTPUTS DIFFER"
        said = f"{state}; {near.apart}"
        rows += [
            _scored(subject, "quantized network (torch)", figures["quantized"], in_torch),
            _scored(subject, "in spikes, T = 8 (golden)", figures, in_spikes, said),
        ]
    note = "Loss of the spiking form against the quantized network: 0."
    return Table("II", "Quantized network and its spiking form", "%", note, tuple(rows))


def integration(subjects: Sequence[Subject]) -> Table:
    """Table III."""
    rows = []
    for subject in subjects:
        near, plain = counterpart(subject.model, subject.dataset), subject.plain()
        in_float, quantized, scaled = published.SCALED.get(near.name, (None, None, None))
        paper = subject.profile("paper")
        biases = f"one weight scale a layer, bias: {', '.join(paper['bias'])}; {near.apart}"
        rows += [
            _scored(subject, "float", plain["float"], in_float),
            _scored(subject, "quantized, exact integration", plain, quantized),
            _scored(subject, "quantized, the paper's profile", paper, quantized, biases),
        ]
        for mode, theirs, said in (
            ("scaled", scaled, near.apart),
            ("late", None, "ours alone: late scaling"),
        ):
            what = f"quantized, {mode} integration"
            try:
                figures = subject.integrated(mode)
            except CompileError as error:
                rows.append(Row(subject.name, what, None, theirs, f"has none: {error}"))
                continue
            rows.append(_scored(subject, what, figures, theirs, said))
    return Table(
        "III",
        "Integration in 16 bits",
        "%",
        "Exact integration has 24 bits and loses nothing.",
        tuple(rows),
    )


def _changes_of_accuracy(
    subjects: Sequence[Subject], names: Sequence[str], theirs: dict[str, Pair]
) -> tuple[Row, ...]:
    """Points that one table in all layers costs."""
    rows = []
    for subject in subjects:
        near, plain = counterpart(subject.model, subject.dataset), subject.plain()
        paper = theirs[near.name][0] if near.name in theirs else (None,) * len(names)
        for table, figure in zip(names, paper, strict=True):
            now = subject.with_table(table)
            rows.append(
                Row(
                    subject.name,
                    table,
                    now["score"] - plain["score"],
                    figure,
                    near.apart,
                    images=plain["images"],
                    error=change_error(now, plain),
                    comparable=near.same_task,
                )
            )
    return tuple(rows)


def _changes_of_operations(
    subjects: Sequence[Subject], names: Sequence[str], theirs: dict[str, Pair]
) -> tuple[Row, ...]:
    """Percent of the operations that one table in all layers adds."""
    rows = []
    for subject in subjects:
        near, plain = counterpart(subject.model, subject.dataset), subject.plain()
        paper = theirs[near.name][1] if near.name in theirs else (None,) * len(names)
        for table, figure in zip(names, paper, strict=True):
            ours = relative(subject.with_table(table)["sops"], plain["sops"])
            rows.append(
                Row(
                    subject.name,
                    table,
                    ours,
                    figure,
                    near.apart,
                    images=plain["images"],
                    comparable=near.same_task,
                )
            )
    return tuple(rows)


def rot_accuracy(subjects: Sequence[Subject]) -> Table:
    """Table IV."""
    rows = _changes_of_accuracy(subjects, ROT, published.ROT)
    return Table("IV", "RoT: accuracy", "points", f"{AGAINST_NONE} the same r in all layers.", rows)


def rot_operations(subjects: Sequence[Subject]) -> Table:
    """Table V."""
    rows = _changes_of_operations(subjects, ROT, published.ROT)
    return Table("V", "RoT: operations", "%", BITS_IN_USE, rows)


def drlo_accuracy(subjects: Sequence[Subject]) -> Table:
    """Table VI."""
    rows = _changes_of_accuracy(subjects, DRLO, published.DRLO)
    return Table(
        "VI", "DRLO: accuracy", "points", f"{AGAINST_NONE} the same k in all layers.", rows
    )


def drlo_operations(subjects: Sequence[Subject]) -> Table:
    """Table VII."""
    rows = _changes_of_operations(subjects, DRLO, published.DRLO)
    return Table("VII", "DRLO: operations", "%", BITS_IN_USE, rows)


def hybrid(subjects: Sequence[Subject]) -> Table:
    """Table VIII."""
    rows = []
    for subject in subjects:
        near = counterpart(subject.model, subject.dataset)
        found = subject.searched()
        if subject.plain()["metric"] != ACCURACY:
            rows.append(Row(subject.name, "no search", None, None, "it counts right answers"))
            continue
        if found is None:
            command = f"make sparsify MODEL={subject.model} DATASET={subject.dataset}"
            rows.append(Row(subject.name, "no search yet", None, None, f"run `{command}`"))
            continue
        before, n_images = found["none"]["test"], found["images"]["test"]
        for scheme, entry in found["chosen"].items():
            theirs = published.HYBRID.get(near.name) if scheme == "hybrid" else None
            accuracy, sops = theirs or (None, None)
            test = entry["test"]
            said = near.apart if theirs else "ours alone: rate-distortion"
            rows += [
                Row(
                    subject.name,
                    f"{scheme}: points of accuracy",
                    100 * (test["accuracy"] - before["accuracy"]),
                    accuracy,
                    said,
                    images=n_images,
                    error=100 * test["loss_error"],
                    comparable=near.same_task,
                ),
                Row(
                    subject.name,
                    f"{scheme}: % of SOPs",
                    relative(test["sops"], before["sops"]),
                    sops,
                    said,
                    images=n_images,
                    comparable=near.same_task,
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
    few_spikes.NUMBER: few_spikes.few_spikes,
    "12": figure12.same_weights,
    "12a": figure12.layers,
    "12b": figure12.trained,
}
