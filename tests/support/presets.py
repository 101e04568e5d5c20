# SPDX-License-Identifier: Apache-2.0
"""Presets as parameters of tests: small ones always, the others where time is taken for them."""

from collections.abc import Iterable

import pytest

from stemcore.golden.spec.presets import PRESETS

FAST = ("tiny",)


def preset_params(names: Iterable[str] = PRESETS) -> list[object]:
    """Every preset, all but the smallest marked ``slow``: gateware takes long to convert.

    Where that is not among ``names``, the first of them takes its place.
    """
    names = list(names)
    fast = [name for name in names if name in FAST] or names[:1]
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]
