# SPDX-License-Identifier: Apache-2.0
"""Outputs that are values keep the largest of them; class scores are told from them, and said."""

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.compiler.errors import QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.quantization.outputs import CLASSES, MAPS, VALUES, kind_of_outputs
from stemcore.compiler.quantization.quantize import quantize
from stemcore.golden.network.tail import ArgMax, Arrange, LogSoftmax, Sigmoid, Softmax, TopK

VECTOR, MAP = (10, 1, 1), (10, 4, 4)


@pytest.mark.parametrize(
    ("shape", "tail", "choice", "kind"),
    [
        (VECTOR, (), None, VALUES),
        (VECTOR, (Arrange((10,)), Sigmoid()), None, VALUES),
        (VECTOR, (Arrange((10,)), Softmax(1)), None, CLASSES),
        (VECTOR, (LogSoftmax(1),), None, CLASSES),
        (VECTOR, (ArgMax(1),), None, CLASSES),
        (VECTOR, (TopK(1, 5),), None, CLASSES),
        (VECTOR, (Softmax(1),), VALUES, VALUES),
        (VECTOR, (), CLASSES, CLASSES),
        (MAP, (), None, MAPS),
        (MAP, (Softmax(1),), CLASSES, MAPS),
        (MAP, (), VALUES, VALUES),
    ],
)
def test_classes_are_what_the_user_or_the_tail_says(shape, tail, choice, kind):
    assert kind_of_outputs(shape, tail, choice) == kind


def test_other_choices_are_refused():
    with pytest.raises(QuantizeError, match=r"^outputs: must be classes or values, got 'boxes'"):
        kind_of_outputs(VECTOR, (), "boxes")


def rails(model, x):
    """Share of the outputs at the largest integer, and the largest output in real numbers."""
    z = model(torch.from_numpy(x))[model.output].numpy()
    return (np.abs(z) == 127).mean(), np.abs(z).max() * model.network.layers[-1].scale


@pytest.mark.parametrize("profile", ["exact", "general"])
def test_values_are_not_clipped(profile, rng):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 6)).eval()
    x = rng.integers(-127, 128, (256, 1, 8, 8))
    with torch.no_grad():
        largest = module(torch.from_numpy(x).float() / 128).abs().max().item()
    graph = capture(module, (1, 8, 8))
    as_values = quantize(graph, x, profile=profile)
    assert as_values.network.outputs == VALUES
    _, found = rails(as_values, x)
    assert found == pytest.approx(largest, abs=2 * as_values.network.layers[-1].scale)
    as_classes = quantize(graph, x, profile=profile, outputs=CLASSES)
    assert as_classes.network.outputs == CLASSES
    assert as_classes.network.layers[-1].scale <= as_values.network.layers[-1].scale
