# SPDX-License-Identifier: Apache-2.0
"""Presets as parameters of tests: small ones always, the others where time is taken for them."""

from collections.abc import Iterable

import pytest

from stemcore.golden.spec.presets import PRESETS

SMALL = ("tiny", "tiny_late", "tiny_scaled")


def preset_params(names: Iterable[str] = PRESETS) -> list[object]:
    """Every preset; those that take a second or more to convert are marked ``slow``."""
    return [pytest.param(name, marks=() if name in SMALL else pytest.mark.slow) for name in names]
