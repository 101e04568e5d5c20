# SPDX-License-Identifier: Apache-2.0
"""Accuracy over SOPs, before and after training for few spikes."""

from collections.abc import Sequence

from stemcore.compiler.sparsity.tables import NONE
from stemcore.models.registry import MODELS

from .score import change_error
from .subjects import Figures, Subject
from .table import NO_COUNTERPART, Row, Table, relative

NUMBER = "spikes"
NAMES = (NONE, "rd20", "rd60", "rd80", "rd160", "rd320")


def _figures(subject: Subject, table: str) -> Figures:
    return subject.plain() if table == NONE else subject.with_table(table)


def few_spikes(subjects: Sequence[Subject]) -> Table:
    """Networks that were trained on for few spikes, and those that they come from.

    All changes are against the network before, without tables, on the same images.
    """
    by_pair = {(subject.model, subject.dataset): subject for subject in subjects}
    rows = []
    for after in subjects:
        before = by_pair.get((MODELS[after.model].dense_model, after.dataset))
        if before is None:
            continue
        plain = before.plain()
        for subject in (before, after):
            for table in NAMES:
                now = _figures(subject, table)
                rows += [
                    Row(
                        subject.name,
                        f"{table}: points of accuracy",
                        now["score"] - plain["score"],
                        None,
                        NO_COUNTERPART,
                        images=plain["images"],
                        error=change_error(now, plain),
                    ),
                    Row(
                        subject.name,
                        f"{table}: % of SOPs",
                        relative(now["sops"], plain["sops"]),
                        None,
                        NO_COUNTERPART,
                        images=plain["images"],
                    ),
                ]
    return Table(
        NUMBER,
        "Trained on for few spikes: the curve before and after",
        "points or %",
        "Change against the network that training began with, without tables; one rate-distortion "
        "table in all layers but the last.",
        tuple(rows),
    )
