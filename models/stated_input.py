# SPDX-License-Identifier: Apache-2.0
"""What a model of the user's says of its input: attributes of the module, a text in the archive.

``module.input_range = (0, 1)``, or one of ``"unit"``, ``"signed"``, ``"u8"``, or a dict of these by
name where there are several inputs; or ``module.input_mean`` and ``module.input_std``, numbers for
all channels or lists of one for each, on the scale of 0..1. The function that returns the module
may have them instead. An archive is written with ``torch.export.save(program, path,
extra_files={"input": "unit"})``.

The result is text in the form of the option ``--input``, see ``compiler/input_map.py``.
"""

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import ModelError

RANGE, MEAN, DEVIATION = ATTRIBUTES = ("input_range", "input_mean", "input_std")
EXTRA_FILE = "extra/input"
LONGEST = 4096  # bytes of a text that states an input


def stated_input(where: str, *carriers: object) -> str:
    """What the first of some objects says that says anything; empty where none does.

    Tensors are buffers of the network, not statements. Raises :exc:`ModelError` for a statement
    that is none.
    """
    for carrier in carriers:
        said = {
            name: value
            for name in ATTRIBUTES
            if (value := getattr(carrier, name, None)) is not None and not hasattr(value, "detach")
        }
        if said:
            return _in_words(said, where)
    return ""


def pair_in_words(stated: object, where: str) -> str:
    """``stated`` in the form of the option: text as it is, (low, high), or (means, deviations),
    one of which is a list.

    Raises :exc:`ModelError` for anything else.
    """
    if isinstance(stated, str):
        return stated
    if isinstance(stated, Sequence) and len(stated) == 2:
        if (ends := _numbers(stated)) is not None:
            return f"{ends[0]!r}..{ends[1]!r}"
        if (text := _normalisation(*stated)) is not None:
            return text
    raise ModelError(
        f"{where}: must be text such as 'unit', (low, high), or ([means], [deviations]); "
        f"{stated!r} came; give one of these"
    )


def _in_words(said: dict[str, Any], where: str) -> str:
    if set(said) == {RANGE}:
        value = said[RANGE]
        if isinstance(value, dict):  # of several inputs, by name
            return "; ".join(f"{name}={pair_in_words(one, where)}" for name, one in value.items())
        if isinstance(value, str) or ((ends := _numbers(value)) is not None and len(ends) == 2):
            return pair_in_words(value, where)
    both = set(said) == {MEAN, DEVIATION}
    if both and (text := _normalisation(said[MEAN], said[DEVIATION])) is not None:
        return text
    came = ", ".join(f"{name} = {value!r}" for name, value in said.items())
    raise ModelError(
        f"{where}: the input must be stated as {RANGE} = (low, high) or a name such as 'unit', or "
        f"as both {MEAN} and {DEVIATION}, numbers or a list of one for each channel; {came} came; "
        "correct the attribute"
    )


def _normalisation(mean: object, deviation: object) -> str | None:
    """Means, then deviations, of numbers or lists; None where they do not fit."""
    means, deviations = _numbers(mean), _numbers(deviation)
    if not means or not deviations:
        return None
    n = max(len(means), len(deviations))
    means, deviations = (p * n if len(p) == 1 else p for p in (means, deviations))
    if len(means) != len(deviations):
        return None
    return ",".join(repr(number) for number in (*means, *deviations))


def _numbers(value: object) -> list[float] | None:
    """Finite numbers; None for anything else."""
    parts = [value] if isinstance(value, int | float) else value
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        return None
    if not all(isinstance(p, int | float) and math.isfinite(p) for p in parts):
        return None
    return [float(part) for part in parts]


def archive_input(path: Path | str) -> str:
    """What a ``.pt2`` archive says of its input; empty where it says nothing, or is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.partition("/")[2] == EXTRA_FILE and entry.file_size <= LONGEST:
                    return archive.read(entry).decode("utf-8", "replace").strip()
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        pass  # whoever loads the archive says what is wrong with it
    return ""
