# SPDX-License-Identifier: Apache-2.0
"""Names of runs; what they prepare is tested with the commands that use it."""

import pytest

from stemcore.runtime.commands.sim import SIM_BUILD, output_folder
from stemcore.runtime.prepare import Settings, model_name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("tiny_vgg", "tiny_vgg"),
        ("nets/mine.py:small", "mine.small"),
        ("nets/mine.py:large", "mine.large"),
        ("/a.b/mine.pt2", "mine"),
        ("v1.5.pt2", "v1.5"),
    ],
)
def test_every_model_has_a_folder_of_its_own(model, name):
    assert model_name(Settings(model)) == name
    assert output_folder(Settings(model, dataset="mnist")) == SIM_BUILD / f"{name}-mnist"
