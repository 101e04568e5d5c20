# SPDX-License-Identifier: Apache-2.0
"""Forms of the bias: exact in the core's fields, and what they say."""

import numpy as np
import pytest
import torch

from stemcore.compiler.errors import QuantizeError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.lowering.lower import lower
from stemcore.compiler.lowering.ranges import prove_ranges
from stemcore.compiler.quantization.bias import BIAS_FORMATS, round_bias
from stemcore.compiler.quantization.quantize import quantize
from stemcore.golden.network.forward import run_network
from tests.support.crossed import crossed
from tests.support.torch_nets import build

SHIFT = np.array([24, 22, 27], np.int64)


def value(bias, shift):
    """What the core adds, in units of the output: exact in double precision."""
    return np.ldexp(bias.integers.astype(np.float64), 8 * bias.shift - shift)


@pytest.mark.parametrize(
    ("form", "biases", "step", "said"),
    [
        ("output8", [1.4, -126.6, 0.0], 1.0, "8 bits at the output's scale"),
        ("output16", [1.4, -126.6, 0.0], 1.0, "16 bits at the output's scale"),
        ("output16", [3e4, -7.5, 0.5], 1.0, "16 bits at the output's scale"),
        ("output", [1.4, -126.6, 0.0], 1.0, "8 bits at the output's scale"),
        ("output", [1.4, -128.4, 0.0], 1.0, "16 bits at the output's scale"),
        ("fraction16", [1.4, -126.6, 0.1], 2.0**-8, "16 bits, 8 of them fraction"),
        ("fraction16", [0.7, -0.1, 0.1], 2.0**-15, "16 bits, 15 of them fraction"),
        ("fraction16", [2e4, 1.0, 0.1], 1.0, "16 bits, 0 of them fraction"),
    ],
)
def test_a_form_rounds_on_its_own_grid_and_nowhere_else(form, biases, step, said):
    bias = round_bias("conv", np.array(biases), SHIFT, form, is_exact=False)
    np.testing.assert_array_equal(value(bias, SHIFT), np.round(np.array(biases) / step) * step)
    assert np.abs(bias.integers).max() < 1 << 31
    assert 0 <= bias.shift <= 3
    assert bias.said == said


def test_int32_takes_the_finest_grid_that_fits():
    biases = np.array([1.4, -126.6, 0.0])
    bias = round_bias("conv", biases, SHIFT, "int32", is_exact=False)
    assert bias.said == "32 bits at the product's scale"
    np.testing.assert_array_equal(bias.integers, np.round(np.ldexp(biases, SHIFT)))
    large = round_bias("conv", 1000 * biases, SHIFT, "int32", is_exact=False)
    assert large.said == "32 bits at the product's scale, shifted by 8"
    exact = round_bias("conv", biases, np.array([7, 8, 9]), "int32", is_exact=True)
    assert exact.said == "32 bits at the accumulator's scale"
    assert exact.shift == 0


def test_fraction_never_exceeds_the_shift_of_any_channel():
    bias = round_bias("conv", np.array([0.3, 0.1]), np.array([3, 9]), "fraction16", is_exact=True)
    assert bias.said == "16 bits, 3 of them fraction"
    np.testing.assert_array_equal(value(bias, np.array([3, 9])), [0.25, 0.125])


FITS = r"^conv: the bias must fit in "
SCALE = r" bits at the scale of the output, is up to "


@pytest.mark.parametrize(
    ("form", "biases", "shift", "message"),
    [
        (
            "output8",
            [127.6],
            [20],
            f"{FITS}8{SCALE}127\\.6; choose the bias format int32 or output16$",
        ),
        ("output", [33000.0], [20], f"{FITS}16{SCALE}3\\.3e\\+04; choose the bias format int32$"),
        ("fraction16", [33000.0], [20], f"{FITS}16{SCALE}"),
        ("output16", [3e4, 1.0], [30, 3], r"^conv: the bias \(16 bits at .*\) must fit in 32"),
        ("int32", [1e9], [40], f"{FITS}32 bits, needs "),
        ("int32", [1.0], [48], r"^conv: the shift after the accumulator must be 0 to 47, is 48"),
    ],
)
def test_a_bias_that_does_not_fit_is_refused(form, biases, shift, message):
    with pytest.raises(QuantizeError, match=message):
        round_bias("conv", np.array(biases), np.array(shift), form, is_exact=False)


@pytest.mark.medium
@crossed(1, form=BIAS_FORMATS, profile=["exact", "general", "paper"])
def test_every_form_equals_golden_in_every_profile(form, profile, rng):
    module, shape = build("residual")
    for name, values in module.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            values *= 0.05  # so that 8 bits are enough
    x = np.clip(np.round(rng.normal(size=(8, *shape)) * 60), -127, 127).astype(np.int64)
    model = quantize(capture(module, shape), x, profile=profile, bias=form)
    network = lower(model)
    prove_ranges(network, 24)
    expected = run_network(network, x)
    for name, values in model(torch.from_numpy(x)).items():
        np.testing.assert_array_equal(values.numpy(), expected[name], err_msg=name)
    for layer in model.network.layers:
        added = np.ldexp(layer.bias.astype(float), 8 * layer.bias_shift - layer.rescale_shift)
        if form.startswith("output"):
            np.testing.assert_array_equal(added, np.round(added))
            assert np.abs(added).max() < (1 << 7 if form == "output8" else 1 << 15)


def test_the_papers_profile_clips_no_weight_and_shares_its_scale(rng):
    module, shape = build("vgg")
    x = rng.integers(-127, 128, (8, *shape))
    model = quantize(capture(module, shape), x, profile="paper")
    for layer in model.network.layers:
        assert layer.bias_format in (
            "8 bits at the output's scale",
            "16 bits at the output's scale",
        )
        for branch in layer.branches:
            assert np.abs(branch.weight.astype(int)).max() == 127
        assert len(set(layer.multiplier)) == len(set(layer.rescale_shift)) == 1
    last = model(torch.from_numpy(x))[model.output]
    assert int(last.abs().max()) >= 126
