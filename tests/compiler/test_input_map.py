# SPDX-License-Identifier: Apache-2.0
"""What a byte means: exact codes, no clipping, and zero padding that is the float network's own."""

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.compiler.errors import CompileError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.passes.input_scale import scale_input
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.input_map import SIGNED, UNSTATED, InputMap, parse_input, range_map
from stemcore.compiler.pipeline import Compilation, run_stages
from stemcore.compiler.stages import Inputs, Options
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import get_preset
from stemcore.models.data.preprocess import to_float_input, to_integer_input

EVERY = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
IMAGENET = "0.485,0.456,0.406,0.229,0.224,0.225"


def test_signed_is_the_preprocessing_of_the_projects_own_networks():
    np.testing.assert_array_equal(SIGNED.codes_of_bytes(EVERY), to_integer_input(EVERY))
    np.testing.assert_array_equal(SIGNED.real_of_bytes(EVERY), to_float_input(EVERY).numpy())
    assert (SIGNED.scale, SIGNED.factors) == (2.0**-7, ())


@pytest.mark.parametrize(("text", "real"), [("unit", EVERY / 255), ("u8", EVERY.astype(float))])
def test_inputs_without_a_sign_have_all_bytes(text, real):
    found = parse_input(text)
    np.testing.assert_array_equal(found.codes_of_bytes(EVERY), EVERY)
    np.testing.assert_allclose(found.real_of_bytes(EVERY), real, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("-1..1", EVERY / 127.5 - 1),
        ("0.5,0.5", (EVERY / 255 - 0.5) / 0.5),
        ("0.1307,0.3081", (EVERY / 255 - 0.1307) / 0.3081),
        ("-3..0.5", EVERY * 3.5 / 255 - 3),
        ("1..3", EVERY * 2.0 / 255 + 1),
    ],
)
def test_no_byte_is_clipped_and_codes_are_the_nearest(text, real):
    found = parse_input(text)
    np.testing.assert_allclose(found.real_of_bytes(EVERY), real, rtol=1e-5, atol=1e-6)
    codes = found.codes_of_bytes(EVERY).astype(int)
    low, high = found.limits
    assert max(-codes.min(), codes.max()) == high
    assert codes.min() >= low
    np.testing.assert_array_equal(codes, np.rint(real / found.step[0]))
    assert np.abs(found.real_of_codes(codes) - real).max() <= found.step[0] * 0.501


def test_channels_have_means_and_deviations_of_their_own():
    found = parse_input(IMAGENET)
    images = np.repeat(EVERY, 3, axis=1)
    mean, deviation = np.array([float(t) for t in IMAGENET.split(",")]).reshape(2, 3, 1, 1)
    expected = (images / 255 - mean) / deviation
    np.testing.assert_allclose(found.real_of_bytes(images), expected, rtol=1e-5, atol=1e-6)
    codes = found.codes_of_bytes(images)
    assert np.abs(codes).reshape(3, -1).max(axis=1).tolist() == [127, 127, 127]
    np.testing.assert_array_equal(found.codes_of_real(expected, "x"), codes)
    with pytest.raises(
        CompileError, match=r"^INPUT: must have one mean and deviation, or one for each of 4 chan"
    ):
        found.check_channels(4)


def test_floats_beyond_the_codes_are_refused_not_clipped():
    found = parse_input("unit")
    np.testing.assert_array_equal(
        found.codes_of_real(np.array([[0.0, 0.5, 1.0]]), "x"), [[0, 128, 255]]
    )
    with pytest.raises(
        ValueError, match=r"^x: floats must lie in 0\.\.1, the float network's input; -1\.\.1 came"
    ):
        found.codes_of_real(np.array([[-1.0, 1.0]]), "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must say what a byte means, got ''; state one of: unit \(0\.\.1"),
        ("signd", r"must say what a byte means, got 'signd'"),
        ("1..0", r"must be LOW\.\.HIGH with LOW below HIGH, got 1\.\.0"),
        ("0.5,0", r"must have positive deviations after the means, got 0\.5,0"),
        ("1,2,3", r"must say what a byte means, got '1,2,3'"),
        ("nan..1", r"must say what a byte means"),
    ],
)
def test_other_words_are_refused(text, message):
    with pytest.raises(CompileError, match=f"^INPUT: {message}"):
        parse_input(text)


def test_bytes_without_a_meaning_are_refused_with_all_ways_out():
    for silent in (UNSTATED, range_map("values", -3.0, 2.0)):
        with pytest.raises(
            CompileError, match=r"^INPUT: must say what .*--input.*input_range.*aut"
        ):
            silent.codes_of_bytes(EVERY)


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"^input map odd: gain, offset and step must fit"):
        InputMap("odd", (1.0, 2.0), (0.0,), (1.0,))
    with pytest.raises(ValueError, match=r"^input map odd: "):
        InputMap("odd", (1.0,), (0.0,), (0.0,))


FIRED = "the host fires round(x / step)"
DESCRIPTIONS = {
    "signed": "a byte means (byte - 128) / 128, code = byte - 128, at least -127",
    "unit": "a byte means x = 0.003922 * byte, codes are the bytes",
    "0..255": "a byte means x = 1 * byte, codes are the bytes",
    "-1..1": f"a byte means x = 0.007843 * byte - 1; {FIRED}, -127..127, with step 0.007874",
    "1..3": f"a byte means x = 0.007843 * byte + 1; {FIRED}, 85..255, with step 0.01176",
}


@pytest.mark.parametrize(("text", "words"), DESCRIPTIONS.items())
def test_a_map_says_what_it_does(text, words):
    assert parse_input(text).describe() == f"{text}: {words}"


class Grouped(nn.Module):
    """The input goes to a grouped and a plain convolution, a pooling, and a residual addition."""

    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.plain = nn.Conv2d(4, 4, 3, padding=1)
        self.average, self.largest = nn.AvgPool2d(2), nn.MaxPool2d(2)

    def forward(self, x):
        y = torch.relu(self.grouped(x) + x) + self.plain(x)
        return self.largest(y) + self.average(x) + self.largest(x)


def test_factors_move_into_every_weight_that_reads_the_input():
    torch.manual_seed(5)
    graph = form_layers(capture(Grouped().eval(), (4, 6, 6)))
    factors = np.array([0.5, 3.0, 1.7, 0.01])
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    expected = run_graph(graph, x, torch.float64)[graph.output]
    scaled = scale_input(graph, factors)
    got = run_graph(scaled, x / torch.tensor(factors)[:, None, None], torch.float64)[graph.output]
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


class Normalized(nn.Module):
    """A network that takes 0..1 and normalizes by itself, or one that gets it normalized."""

    def __init__(self, inside):
        super().__init__()
        torch.manual_seed(2)
        self.doubled = inside == "2x-1"
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2), nn.Flatten()
        )
        self.inside = inside
        mean, deviation = np.array([float(t) for t in IMAGENET.split(",")]).reshape(2, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32))

    def forward(self, x):
        if self.doubled:
            return self.body(2 * x - 1)
        return self.body((x - self.mean) / self.deviation if self.inside else x)


def compiled(module, text, images, profile="exact"):
    meant = parse_input(text)
    options = Options(
        input_shape=images.shape[1:],
        params=get_preset("tiny"),
        profile=profile,
        input_map=meant,
    )
    return run_stages(
        Compilation(options, Inputs(module, meant.codes_of_bytes(images))), stop="lower"
    )


@pytest.mark.parametrize("profile", ["exact", "general", "paper"])
@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (IMAGENET, False),
        ("unit", True),
        ("unit", "2x-1"),
        ("unit", False),
        ("u8", False),
    ],
)
def test_integers_are_near_the_float_network_at_the_border_too(text, inside, profile):
    """The float network pads its own zeros; black and white images would show another padding."""
    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, (12, 3, 9, 9), dtype=np.uint8)
    images[0], images[1] = 0, 255
    module = Normalized(inside).eval()
    done = compiled(module, text, images, profile)
    meant = done.options.input_map
    codes = meant.codes_of_bytes(images).astype(np.int64)
    golden = run_network(done.exact, codes, acc_width=done.exact_width)
    in_torch = done.quantized_model(torch.from_numpy(codes))
    for name, values in in_torch.items():
        np.testing.assert_array_equal(golden[name], values.numpy(), err_msg=name)
    with torch.no_grad():
        expected = module(torch.from_numpy(meant.real_of_bytes(images))).numpy()
    output = done.exact.output.name
    got = golden[output].reshape(expected.shape) * done.exact.scales[output]
    noise = ((got - expected) ** 2).mean() / (expected**2).mean()
    assert 10 * np.log10(1 / noise) > 28, text
