# SPDX-License-Identifier: Apache-2.0
"""Bits for all layers and for each, as text and as mappings."""

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.compiler.errors import QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.quantization.layer_bits import (
    bits_in_words,
    bits_of,
    check_layer_bits,
    most_bits,
    parse_bits,
)
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.scales import weight_scales
from tests.support.torch_nets import chain


@pytest.mark.parametrize(
    ("text", "choice", "of_fc", "of_others", "most"),
    [
        ("4", 4, 4, 4, 4),
        ("fc=4", {"fc": 4}, 4, 8, 8),
        (" 3 , fc = 2 ", {"*": 3, "fc": 2}, 2, 3, 3),
        ("a.0=5,*=2", {"a.0": 5, "*": 2}, 2, 2, 5),
        ("x=y=7", {"x=y": 7}, 8, 8, 8),
    ],
)
def test_text_and_mapping_say_the_same(text, choice, of_fc, of_others, most):
    assert parse_bits(text, "bits") == choice == parse_bits(choice, "bits")
    assert (bits_of(choice, "fc"), bits_of(choice, "other")) == (of_fc, of_others)
    assert most_bits(choice) == most
    assert parse_bits(bits_in_words(choice), "bits") == choice


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^weight-bits: must be a number, or layers with theirs such as 8,fc=4, got ''"),
        ("8,fc", r"^weight-bits: must be a number"),
        ("4.0", r"^weight-bits: must be a number"),
        ("=4", r"^weight-bits: must be a number"),
        ("fc=4,fc=5", r"^weight-bits: must say once what 'fc' have"),
        ("4,5", r"^weight-bits: must say once what all other layers have"),
        ("1", r"^all layers: weight-bits must be 2 to 8, got 1$"),
        ("8,fc=9", r"^fc: weight-bits must be 2 to 8, got 9$"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(QuantizeError, match=message):
        parse_bits(text, "weight-bits")


@pytest.mark.parametrize("value", [1, 9, True, 4.0, "4"])
def test_numbers_that_no_layer_can_have_are_named(value):
    graph = capture(nn.Conv2d(1, 1, 1).eval(), (1, 2, 2))
    with pytest.raises(QuantizeError, match=r"^conv2d: bits must be 2 to 8, got "):
        check_layer_bits(graph, {"conv2d": value}, 8)


def test_names_that_are_no_layers_get_the_nearest():
    net = chain(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 1, 1)).eval()
    graph = capture(net, (1, 2, 2))
    check_layer_bits(graph, {"0": 4, "*": 3}, {"3": 2})
    with pytest.raises(
        QuantizeError, match=r"^weight_bits: names must be layers, got '1'; the layers are 0, 3$"
    ):
        check_layer_bits(graph, 8, {"1": 4})  # it is part of layer 0
    net = nn.Sequential()
    net.add_module("features", nn.Conv2d(1, 1, 1))
    with pytest.raises(QuantizeError, match=r"got 'feature'; did you mean features\?; the layers"):
        check_layer_bits(capture(net.eval(), (1, 2, 2)), {"feature": 4}, 8)


def test_unknown_layers_are_refused_before_anything_is_calibrated():
    net = nn.Conv2d(1, 1, 1).eval()
    with pytest.raises(QuantizeError, match=r"^bits: names must be layers, got 'conv'"):
        stemcore.compile(net, calibration=np.full((1, 1, 2, 2), -1), bits="8,conv=4", stop="check")


@pytest.mark.parametrize("profile", ["exact", "general", "paper"])
@pytest.mark.parametrize("bits", [2, 3, 5, 7, 8])
def test_weights_of_each_layer_have_their_bits(bits, profile, rng):
    torch.manual_seed(int(rng.integers(1000)))
    net = chain(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 1)).eval()
    x = rng.integers(-127, 128, (6, 2, 4, 4))
    model = quantize(capture(net, (2, 4, 4)), x, profile=profile, weight_bits={"0": bits})
    first, last = (np.abs(layer.branches[0].weight).max() for layer in model.network.layers)
    top = 2 ** (bits - 1) - 1
    assert top // 2 < first <= top
    assert 63 < last <= 127


@pytest.mark.parametrize("is_exact", [False, True])
@pytest.mark.parametrize("top", [1, 3, 7, 63])
def test_few_bits_of_weights_may_clip_where_that_costs_less(top, is_exact, rng):
    """The scale found has about the least error of a grid that begins far below it."""
    weight = rng.standard_t(4, (5, 40))

    def error(row, scale):
        return np.square(np.clip(np.round(row / scale), -top, top) * scale - row).sum()

    found = weight_scales(weight, top, per_channel=True, is_exact=is_exact)
    for row, scale in zip(weight, found, strict=True):
        widest = np.abs(row).max() / top
        if is_exact:
            grid = 2.0 ** np.arange(-12, 12)
            assert error(row, scale) == min(error(row, s) for s in grid)
        else:
            grid = widest * np.linspace(0.05, 1.0, 400)
            assert error(row, scale) <= 1.2 * min(error(row, s) for s in grid)
