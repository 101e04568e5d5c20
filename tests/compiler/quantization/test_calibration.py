# SPDX-License-Identifier: Apache-2.0
"""Calibration methods against references in plain numpy, on dense, sparse and constant data."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.compiler.errors import QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.quantization.calibration import Method, parse_method, percentiles
from stemcore.compiler.quantization.quantize import quantize
from stemcore.compiler.quantization.quantized import PROFILES
from stemcore.golden.network.forward import run_network
from tests.support.torch_nets import chain

METHODS = ["max", "percentile:99", "percentile:50", "mse"]


def two_layers(rng, function=None):
    """A 1 x 1 convolution, ReLU or ``function``, and another; all sums are exact in float32."""
    net = chain(nn.Conv2d(2, 5, 1), function or nn.ReLU(), nn.Conv2d(5, 3, 1)).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            integers = rng.integers(-12, 13, parameter.shape)
            parameter.copy_(torch.from_numpy(integers / 16.0))
    return net


def data(rng, kind, n=70):
    """Integers of images (n, 2, 3, 4); more than one batch."""
    x = np.clip(np.round(rng.standard_t(3, (n, 2, 3, 4)) * 25), -127, 127).astype(np.int64)
    if kind == "sparse":
        return x * (rng.random(x.shape) < 0.01)
    return {"dense": x, "constant": np.full_like(x, 37), "empty": np.zeros_like(x)}[kind]


def first_values(net, x):
    """What the first layer fires, in float64."""
    weight = net[0].weight.detach().double().numpy()[:, :, 0, 0]
    sums = np.einsum("oc,nchw->nohw", weight, x / 128.0)
    return np.maximum(sums + net[0].bias.detach().double().numpy()[:, None, None], 0.0)


def expected_scale(values, method, profile, top):
    """The scale of unsigned integers up to ``top``, from the definitions alone."""
    ordered = np.sort(np.abs(values).ravel())
    reach = ordered[-1]
    if method.startswith("percentile:"):
        percent = float(method.partition(":")[2])
        reach = ordered[math.ceil(len(ordered) * percent / 100) - 1] or reach
    widest = (reach or 1.0) / top
    if profile == "exact":
        widest = 2.0 ** math.ceil(math.log2(widest))
    if method != "mse":
        return widest
    tried = widest * (0.5 ** np.arange(5) if profile == "exact" else np.linspace(1.0, 0.25, 16))
    errors = [
        np.square(np.clip(np.rint(values / scale), 0, top) * scale - values).sum()
        for scale in tried
    ]
    return tried[np.argmin(errors)]


@pytest.mark.parametrize("kind", ["dense", "sparse", "constant", "empty"])
@pytest.mark.parametrize("profile", ["exact", "general"])
@pytest.mark.parametrize("method", METHODS)
def test_scales_are_those_of_the_definition(method, profile, kind, rng):
    net, x = two_layers(rng), data(rng, kind)
    bits = int(rng.integers(2, 9))
    model = quantize(
        capture(net, (2, 3, 4)), x, profile=profile, bits=bits, calibration_method=method
    )
    layer = model.network.layers[0]
    wanted = expected_scale(first_values(net, x), method, profile, 2**bits - 1)
    assert layer.scale == pytest.approx(wanted, rel=1e-6)
    values = run_network(lower(model), x)
    for name, found in model(torch.from_numpy(x)).items():
        np.testing.assert_array_equal(found.numpy(), values[name], err_msg=name)


@pytest.mark.parametrize("profile", PROFILES)
def test_max_clips_nothing_and_the_whole_percentile_is_max(profile, rng):
    net, x = two_layers(rng), data(rng, "dense")
    graph = capture(net, (2, 3, 4))
    found = {
        method: quantize(graph, x, profile=profile, calibration_method=method).network.layers[0]
        for method in ("max", "percentile:100", "percentile:99", "mse")
    }
    assert found["max"].scale == found["percentile:100"].scale
    # a unit in the last place of float32, in which the network was evaluated
    assert found["max"].scale * 255 * (1 + 1e-6) >= first_values(net, x).max()
    assert found["percentile:99"].scale <= found["max"].scale
    assert found["mse"].scale <= found["max"].scale


def test_the_papers_profile_is_calibrated_by_max(rng):
    net, x = two_layers(rng), data(rng, "dense")
    graph = capture(net, (2, 3, 4))
    plain, said = (
        quantize(graph, x, profile="paper", bits=3, calibration_method=method).network.scales()
        for method in (None, "max")
    )
    assert plain == said
    other = quantize(graph, x, profile="paper", bits=3, calibration_method="mse").network
    assert other.scales()["0"] < plain["0"]


def test_values_are_never_clipped_and_classes_are_chosen_by_their_own_rule(rng):
    net, x = two_layers(rng), data(rng, "dense")[:, :, :1, :1]
    graph = capture(net, (2, 1, 1))
    for outputs in ("values", "classes"):
        scales = {
            quantize(graph, x, calibration_method=method, outputs=outputs).network.layers[1].scale
            for method in METHODS
        }
        assert len(scales) == 1, outputs


@pytest.mark.parametrize("method", METHODS)
def test_sums_in_front_of_a_function_have_the_methods_range(method, rng):
    net, x = two_layers(rng, nn.Tanh()), data(rng, "dense")
    with torch.no_grad():
        net[0].weight.mul_(16)  # up to the flat ends of the function
    model = quantize(capture(net, (2, 3, 4)), x, calibration_method=method, profile="general")
    weight = net[0].weight.detach().double().numpy()[:, :, 0, 0]
    bias = net[0].bias.detach().double().numpy()[:, None, None]
    sums = np.einsum("oc,nchw->nohw", weight, x / 128.0) + bias
    layer = model.network.layers[0]
    # What all indices cover; the step is rounded to a multiplier of 16 bits.
    unit = float(layer.acc_scale[0] * 2.0 ** int(layer.rescale_shift[0]) / layer.multiplier[0])
    held, spread = 254 * unit * (1 + 2.0**-15), sums.max() - sums.min()
    if method == "max":
        assert held >= spread
    if method == "percentile:50":
        assert held < spread
    values = run_network(lower(model), x)
    np.testing.assert_array_equal(model(torch.from_numpy(x))["0"].numpy(), values["0"])


@pytest.mark.parametrize("percent", [0.001, 3, 50, 99.0, 99.99, 100])
@pytest.mark.parametrize("kind", ["normal", "sparse", "constant", "zero", "tiny", "one"])
def test_percentiles_are_numpys(kind, percent, rng):
    x = rng.normal(size=5003).astype(np.float32) * np.float32(2.0) ** rng.integers(-30, 30)
    made = {
        "normal": x,
        "sparse": x * (rng.random(len(x)) < 0.02),
        "constant": np.full_like(x, -1.25),
        "zero": np.zeros_like(x),
        "tiny": (x * np.float32(1e-38)).astype(np.float32),  # among them denormal numbers
        "one": x[:1],
    }[kind]
    parts = np.array_split(made, 4)  # of one value three parts are empty

    def batches():
        for part in parts:
            yield {"a": part, "b": part * 2}

    found = percentiles(batches, percent)
    wanted = np.sort(np.abs(made))[math.ceil(len(made) * percent / 100) - 1]
    assert found == {"a": wanted, "b": np.abs(wanted * 2)}
    assert wanted == np.percentile(np.abs(made), percent, method="inverted_cdf")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("max", Method("max")),
        ("mse", Method("mse")),
        ("percentile", Method("percentile", 99.99)),
        ("percentile:99.9", Method("percentile", 99.9)),
        (None, Method("mse")),
        ("", Method("mse")),
    ],
)
def test_methods_are_read(text, wanted):
    assert parse_method(text) == wanted
    assert parse_method(str(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "percentil",
            r"^calibration: must be max, percentile or mse, .* did you mean percentile\?$",
        ),
        (
            "max:3",
            r"^calibration: must be max, percentile or mse, the percentile as in percentile:",
        ),
        ("percentile:0", r"^calibration: a percentile must be above 0 and at most 100, got '0'$"),
        ("percentile:nan", r"^calibration: a percentile must be above 0 and at most 100"),
        ("percentile:", r"^calibration: a percentile must be above 0 and at most 100, got ''$"),
        ("percentile:100.1", r"^calibration: a percentile must be above 0 and at most 100"),
        ("entropy", r"^calibration: must be max, percentile or mse"),
    ],
)
def test_other_methods_are_refused(text, message):
    with pytest.raises(QuantizeError, match=message):
        parse_method(text)
