# SPDX-License-Identifier: Apache-2.0
"""Averages in quantized models: the mean that torch rounds, for every sum there is."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontends.registry import read_model
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.given_average import find_mean
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantize_given import agreement
from stemcore.extras import has_extra, how_to_install
from stemcore.golden.arithmetic.fixed import round_half_even_shift
from stemcore.golden.network.forward import run_network


def mean_of(sums, exponent, divisor):
    """``sums * 2**exponent / divisor``, rounded to the nearest integer, halves to even."""
    above, below = sums << max(exponent, 0), divisor << max(-exponent, 0)
    quotient, rest = np.divmod(above, below)
    return quotient + ((2 * rest > below) | ((2 * rest == below) & (quotient % 2 == 1)))


def computed(mean, sums, output):
    """What one neuron, or two and the layer behind them, make of every sum."""
    products = [sums * mean.weight * mean.multiplier + bias for bias in mean.biases]
    rounded = [np.clip(round_half_even_shift(p, mean.shift), *output) for p in products]
    return rounded[0] if len(rounded) == 1 else round_half_even_shift(sum(rounded), 1)


@pytest.mark.parametrize("output", [(0, 255), (-127, 127), (0, 15), (0, 3)])
@pytest.mark.parametrize("divisor", [*range(1, 13), 15, 25, 36, 49, 60, 121, 144, 196])
def test_every_sum_has_its_mean(divisor, output):
    limits = divisor * output[0], divisor * output[1]
    sums = np.arange(limits[0], limits[1] + 1)
    for exponent in (-2, -1, 0, 1, 2, divisor.bit_length(), divisor.bit_length() + 9):
        mean = find_mean(exponent, divisor, limits, output, 127)
        want = np.clip(mean_of(sums, exponent, divisor), *output)
        assert np.array_equal(computed(mean, sums, output), want), (exponent, mean)
        assert 1 <= mean.weight <= 127
        assert mean.multiplier == 1 or 1 << 15 <= mean.multiplier < 1 << 16


def test_the_mean_of_fractions_is_that_of_the_test():
    sums = np.arange(-40, 41)
    for exponent in (-1, 0, 2):
        exact = [round(Fraction(int(s)) * Fraction(2) ** exponent / 6) for s in sums]
        assert mean_of(sums, exponent, 6).tolist() == exact


@pytest.mark.parametrize(("side", "n_neurons"), [(3, 1), (6, 2), (7, 1), (8, 1), (12, 2), (28, 2)])
def test_only_means_that_lie_halfway_need_two_neurons(side, n_neurons):
    n = side**2
    mean = find_mean(0, n, (0, 255 * n), (0, 255), min(127, (1 << 23) // (256 * n)))
    assert len(mean.biases) == n_neurons
    assert (mean.multiplier == 1) == (side == 8)


def test_a_mean_of_too_many_values_is_the_closest():
    n = 48 * 48
    sums = np.arange(255 * n + 1)
    mean = find_mean(0, n, (0, 255 * n), (0, 255), (1 << 23) // (256 * n))
    wrong = computed(mean, sums, (0, 255)) - mean_of(sums, 0, n)
    assert 0 < np.count_nonzero(wrong) < 1e-3 * len(sums)
    assert np.abs(wrong).max() == 1


# Whole networks -----------------------------------------------------------------------------------
class Average(nn.Module):
    """A pooling of the input, or of what a convolution makes of it; roundings as a converted model
    has them."""

    def __init__(self, pool, shape, *, exponent=0, is_signed=True, then=None):
        super().__init__()
        self.pool, self.shape, self.is_signed, self.then = pool, shape, is_signed, then
        self.scale = 2.0 ** (-7 - exponent)

    def forward(self, x):
        low, high = (-127, 127) if self.is_signed else (0, 255)
        x = torch.fake_quantize_per_tensor_affine(x, 2.0**-7, 0, low, high)
        x = self.pool(x)
        x = x if self.then is None else self.then(x)
        return torch.fake_quantize_per_tensor_affine(x, self.scale, 0, low, high)


POOLINGS = {
    "mean": (lambda x: x.mean((2, 3)), (2, 6, 6)),
    "global": (lambda x: F.adaptive_avg_pool2d(x, 1), (2, 7, 7)),
    "windows": (lambda x: F.avg_pool2d(x, 3), (2, 6, 9)),
    "overlapping": (lambda x: F.avg_pool2d(x, 3, 2, 1), (3, 7, 7)),
    "lying": (lambda x: F.avg_pool2d(x, (2, 3), (2, 3)), (2, 4, 6)),
    "line": (lambda x: F.avg_pool2d(x, (1, 5), (1, 2)), (2, 1, 11)),
    "one weight": (lambda x: x.mean((2, 3), keepdim=True), (1, 10, 10)),
    "large": (lambda x: x.mean((2, 3), keepdim=True), (1, 20, 20)),
    "two": (lambda x: F.max_pool2d(F.avg_pool2d(x, 3, 1), 2), (2, 6, 6)),
    "power": (lambda x: F.avg_pool2d(x, 4), (2, 8, 8)),
}


def images(shape, is_signed, rng, n=60):
    """Integers of all densities, constant images of all values, and none."""
    low, high = (-127, 127) if is_signed else (0, 255)
    codes = rng.integers(low, high + 1, (n, *shape))
    codes[: n // 2] = rng.integers(low, high + 1, (n // 2, 1, 1, 1))
    codes[1 : n // 2] += rng.integers(-1, 2, codes[1 : n // 2].shape)
    codes[n // 2] = 0
    codes[n // 2 + 1] *= rng.random(shape) < 0.05
    return np.clip(codes, low, high)


def check_equal(net, codes, is_signed, graph=None, profile="exact"):
    """Golden's outputs are those of ``net``, and all its integers those of the captured graph."""
    graph = graph or capture(net, net.shape)
    options = {"input_scale": 2.0**-7, "input_signed": is_signed, "profile": profile}
    quantized = quantize(graph, codes, **options)
    assert quantized.network.profile == profile
    values = run_network(lower(quantized), codes.astype(np.int64), acc_width=24)
    last = quantized.network.layers[-1]
    with torch.no_grad():
        want = net(torch.from_numpy(codes / 128).float()).double().numpy() / last.scale
    assert np.array_equal(values[last.name].reshape(want.shape), want)
    for name, found in quantized(torch.from_numpy(codes)).items():
        assert np.array_equal(found.numpy(), values[name]), name
    compared = agreement(graph, quantized.network, codes, ())
    assert all((one.equal, one.largest) == (1.0, 0) for one in compared), compared
    assert len(np.unique(want)) > 8
    return quantized.network


@pytest.mark.parametrize(("exponent", "is_signed"), [(0, False), (0, True), (-1, False)])
@pytest.mark.parametrize("name", POOLINGS)
def test_averages_are_those_of_torch(name, exponent, is_signed, rng):
    pool, shape = POOLINGS[name]
    net = Average(pool, shape, exponent=exponent, is_signed=is_signed).eval()
    network = check_equal(net, images(shape, is_signed, rng), is_signed)
    layers = [layer.name for layer in network.layers if layer.name.endswith(".stage1")]
    assert len(layers) <= 1
    if name == "power":
        assert len(network.layers) == 1
        assert (network.layers[0].multiplier == 1).all()


@pytest.mark.parametrize("name", ["mean", "global", "power"])
def test_the_general_profile_does_as_well_where_scales_are_powers_of_two(name, rng):
    pool, shape = POOLINGS[name]
    net = Average(pool, shape).eval()
    check_equal(net, images(shape, True, rng), True, profile="general")


@pytest.mark.medium
@pytest.mark.parametrize("side", [3, 6, 7])
def test_every_sum_of_an_image_is_averaged_as_torch_does(side):
    n = side**2
    sums = np.arange(-127 * n, 127 * n + 1)
    whole, rest = np.divmod(sums, n)
    codes = whole[:, None] + (np.arange(n) < rest[:, None])
    codes = codes.reshape(-1, 1, side, side)
    check_equal(Average(lambda x: x.mean((2, 3)), (1, side, side)).eval(), codes, True)


def test_what_follows_an_average_belongs_to_its_last_layer(rng):
    net = Average(lambda x: F.avg_pool2d(x, (2, 3)), (3, 8, 12), then=torch.relu).eval()
    network = check_equal(net, images(net.shape, True, rng), True)
    assert [layer.shape for layer in network.layers] == [(6, 4, 4), (3, 4, 4)]
    assert not network.layers[-1].is_signed


# Models that others have quantized ----------------------------------------------------------------
class Net(nn.Module):
    """Average poolings of 3 x 3, of 5 x 5 (signed) and of 6 x 6 positions."""

    shape = (2, 24, 24)

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b = nn.Conv2d(2, 5, 3, padding=1), nn.Conv2d(5, 6, 3, padding=1)
        self.last = nn.Linear(12, 4)

    def forward(self, x):
        x = F.avg_pool2d(torch.relu(self.a(x)), 3, 2, 1)
        y = self.b(x)
        z = F.adaptive_avg_pool2d(torch.relu(F.max_pool2d(y, 2)), 1).flatten(1)
        return self.last(torch.cat([z, F.avg_pool2d(y, 5, 5).amax((2, 3))], 1))


@pytest.mark.medium
@pytest.mark.skipif(not has_extra("pt2e"), reason=f"torchao: {how_to_install('pt2e')}")
def test_averages_of_a_converted_model_are_equal(rng):
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from stemcore.pt2e import StemQuantizer, round_biases

    codes = images(Net.shape, True, rng, 24)
    x = torch.from_numpy(codes / 128).float()
    exported = torch.export.export(Net().eval(), (x,)).module()
    prepared = prepare_pt2e(exported, StemQuantizer())
    prepared(x)
    converted = round_biases(convert_pt2e(prepared))
    check_equal(converted, codes, True, capture(converted, Net.shape))


@pytest.mark.medium
@pytest.mark.skipif(not has_extra("onnx"), reason=f"onnx: {how_to_install('onnx')}")
@pytest.mark.parametrize("kind", ["GlobalAveragePool", "AveragePool"])
def test_averages_of_onnx_runtime_are_equal(kind, rng, tmp_path):
    import onnx

    from tests.support.onnx_nets import Builder, run_onnx

    b = Builder("qdq", (2, 8, 8))
    x = b.quantize("image", 1 / 128, signed=True)
    x = b.node("Conv", [x, b.weights((5, 2, 3, 3), 2.0**-9), b.bias(5, 2.0**-16)], "first")
    x = b.quantize(b.node("Relu", [x]), 1 / 64)
    window = {} if kind == "GlobalAveragePool" else {"kernel_shape": [3, 2], "strides": [1, 2]}
    x = b.quantize(b.node(kind, [x], "mean", **window), 1 / 64)
    model = b.model(x, (5, 1, 1) if kind == "GlobalAveragePool" else (5, 4, 3))
    onnx.save(model, tmp_path / "net.onnx")
    codes = images((2, 8, 8), True, rng, 200)

    def net(x):
        return torch.from_numpy(run_onnx(model, x.numpy())[0])

    network = check_equal(net, codes, True, read_model(tmp_path / "net.onnx"))
    assert [layer.name for layer in network.layers] == ["first", "mean.stage1", "mean"]
