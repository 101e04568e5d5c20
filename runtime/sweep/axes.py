# SPDX-License-Identifier: Apache-2.0
"""Settings that a sweep goes through: values of options, and all their combinations.

Values stand between commas, or between semicolons where a value itself has commas, as
``8;8,fc=4``; a semicolon at the end makes such a one the only value. ``2..8`` are the whole numbers
from 2 to 8.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

# Options of the network's numbers and of the chip; what is left out belongs to the whole sweep.
AXES = (
    "bits",
    "weight_bits",
    "tables",
    "profile",
    "calibration",
    "bias",
    "integration",
    "preset",
    "cores",
    "mesh",
    "skip_buffers",
)
MOST_POINTS = 10_000

Choice = tuple[tuple[str, str], ...]  # an option and its value, for each option with several


def parse_values(text: str, name: str) -> tuple[str, ...]:
    """The values of one option, in order; ``ValueError`` where one is empty or comes twice."""
    found: list[str] = []
    if "=" in text and "," in text and ";" not in text:
        raise ValueError(
            f"{name}: values that have commas must stand between semicolons, got {text!r}; write "
            f"'{text};' for one value"
        )
    parts = text.removesuffix(";").split(";") if ";" in text else text.split(",")
    for part in map(str.strip, parts):
        span = re.fullmatch(r"([0-9]{1,4})\.\.([0-9]{1,4})", part)
        found += map(str, range(int(span[1]), int(span[2]) + 1)) if span else [part]
        if not part or (span and int(span[1]) > int(span[2])):
            raise ValueError(
                f"{name}: must be values between commas or semicolons, such as 2..8 or none,rd20; "
                f"got {text!r}"
            )
    if twice := [value for value in found if found.count(value) > 1]:
        raise ValueError(f"{name}: each value must come once, {twice[0]!r} came twice in {text!r}")
    return tuple(found)


def combinations(values: Mapping[str, Sequence[str]]) -> Iterator[Choice]:
    """Every choice of one value for each option, the last option changing first.

    Raises ``ValueError`` above ``MOST_POINTS``.
    """
    n_points = 1
    for some in values.values():
        n_points *= len(some)
    if n_points > MOST_POINTS:
        raise ValueError(
            f"sweep: must have at most {MOST_POINTS:,} points, {n_points:,} came; give fewer values"
        )
    for chosen in itertools.product(*values.values()):
        yield tuple(zip(values, chosen, strict=True))
