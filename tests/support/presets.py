# SPDX-License-Identifier: Apache-2.0
"""Presets as parameters of tests: small ones always, the others where time is taken for them.

A block by itself is converted for two of them; for each preset it is as part of a node.
"""

from collections.abc import Iterable

import pytest

FAST = ("tiny",)
OF_BLOCKS = ("tiny", "ecp5_lean")


def preset_params(names: Iterable[str] = OF_BLOCKS) -> list[object]:
    """Presets, all but the smallest marked ``slow``: gateware takes long to convert.

    Where that is not among ``names``, the first of them takes its place.
    """
    names = list(names)
    fast = [name for name in names if name in FAST] or names[:1]
    return [pytest.param(name, marks=() if name in fast else pytest.mark.slow) for name in names]
