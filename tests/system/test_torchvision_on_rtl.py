# SPDX-License-Identifier: Apache-2.0
"""Networks of torchvision, whole, on the compiled gateware: every spike of one picture.

Opt-in: ``pip install -c constraints.txt torchvision``. Each takes a minute or more.
"""

import pytest

from stemcore.benchmarks.torchvision_networks import ON_GATEWARE, on_gateware
from stemcore.extras import has_extra

pytestmark = [
    pytest.mark.sim,
    pytest.mark.slow,
    pytest.mark.skipif(
        not has_extra("torchvision"),
        reason="torchvision is not there; pip install -c constraints.txt torchvision",
    ),
]


@pytest.mark.parametrize("name", ON_GATEWARE)
def test_every_spike_of_a_picture_is_golden(name):
    cycles, _ = on_gateware((name,))  # raises where a spike differs
    assert cycles.value > 1_000_000
