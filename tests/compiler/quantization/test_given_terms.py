# SPDX-License-Identifier: Apache-2.0
"""Connections with scales of their own meet in one accumulator, or are refused."""

import numpy as np
import pytest

from stemcore.compiler.errors import QuantizeError
from stemcore.compiler.frontend.graph import Node
from stemcore.compiler.frontend.ops.clamp import Clamp
from stemcore.compiler.frontend.ops.fake_quantize import FakeQuantize
from stemcore.compiler.frontend.ops.layer import IDENTITY, Branch, Layer
from stemcore.compiler.quantization.formats import Source
from stemcore.compiler.quantization.given import given_layer
from stemcore.compiler.quantization.given_terms import (
    align_exact,
    align_free,
    make_terms,
    weight_step,
)
from stemcore.compiler.quantization.scales import SHIFTS

UNSIGNED = (0, 255)


def learned(source, step, top=127, n=3, seed=0):
    """Random integers of a magnitude, as real weights with their step."""
    rng = np.random.default_rng(seed)
    steps = np.broadcast_to(np.asarray(step, float), n).copy()
    integers = rng.integers(-top, top + 1, (n, n, 1, 1))
    integers[:, 0] = top
    return Branch(source, integers * steps.reshape(-1, 1, 1, 1), step=steps)


def passed_on(source, n=3):
    return Branch(source, np.ones((n, 1, 1, 1)), groups=n, kind=IDENTITY)


def layer(*branches, n=3):
    return Layer(branches, np.zeros(n), (n, 2, 2))


def terms(scales, *branches):
    sources = {name: Source(scale, UNSIGNED, 8) for name, scale in scales.items()}
    return make_terms("here", layer(*branches), sources)


def largest_error(aligned, branch, scale):
    """Of a connection's weights, relative to the largest: shifted integers against real ones."""
    total = 0
    for one, weight, h in zip(
        aligned.branches, aligned.weights, aligned.alignment.shifts, strict=True
    ):
        assert np.array_equal(weight, np.round(weight))
        assert np.abs(weight).max() <= 127
        assert h in SHIFTS
        if one is branch:
            total = total + weight * aligned.alignment.acc_scale.reshape(-1, 1, 1, 1) * 2.0**h
    want = branch.weight * scale
    return np.abs(total - want).max() / np.abs(want).max()


@pytest.mark.parametrize("ratio", [-8, -3, 0, 1, 6, 7, 10, 14, 15])
@pytest.mark.parametrize("spread", [0, 3])
def test_powers_of_two_meet_without_error(ratio, spread):
    """A convolution and an addition whose units differ by 2**ratio, and more in one channel."""
    steps = 2.0 ** -np.array([7, 7 + spread, 7])
    scales = {"a": 1 / 16, "b": 2.0**ratio / 2048}
    branches = [learned("a", steps), passed_on("b")]
    aligned = align_exact(terms(scales, *branches), 1.0, 24)
    if ratio + spread > 14:
        assert aligned is None
    else:
        assert aligned is not None
        assert all(largest_error(aligned, b, scales[b.source]) == 0 for b in branches)


@pytest.mark.parametrize("ratio", [1.7, 33.3, 700.0, 9000.0])
def test_free_scales_meet_with_small_error(ratio):
    scales = {"a": 0.0173, "b": 0.0173 * 0.0071 * ratio}
    branches = [learned("a", 0.0071), passed_on("b")]
    aligned = align_free(terms(scales, *branches), 10.0, 24)
    own = [w for b, w in zip(aligned.branches, aligned.weights, strict=True) if b is branches[0]]
    assert len(own) == 1
    assert np.array_equal(own[0], np.round(branches[0].weight / 0.0071))
    assert largest_error(aligned, branches[0], scales["a"]) < 1e-9
    assert largest_error(aligned, branches[1], scales["b"]) < 0.5 / ratio


def test_two_convolutions_meet_where_one_is_a_whole_multiple():
    scales = {"a": 0.125, "b": 0.125}
    for second in (learned("b", 2.0**-6, top=31), learned("b", 2.0**-3)):
        branches = [learned("a", 2.0**-7), second]
        aligned = align_exact(terms(scales, *branches), 1.0, 24)
        assert all(largest_error(aligned, b, 0.125) == 0 for b in branches)
    full = [learned("a", 2.0**-7), learned("b", 2.0**-6)]
    assert align_exact(terms(scales, *full), 1.0, 24) is None
    assert align_free(terms({"a": 0.1, "b": 0.17}, *full), 1.0, 24) is None
    node = Node("here", layer(*full), ("a", "b"), (3, 2, 2))
    sources = {name: Source(0.125, UNSIGNED, 8) for name in "ab"}
    with pytest.raises(
        QuantizeError,
        match=r"^here: the products of its connections must meet in one accumulator whose unit is "
        r"at most the output's, 1; they are worth a .*, b .*; quantize the results of all",
    ):
        given_layer(node, sources, "exact", 24, FakeQuantize(1.0, -127, 127))


def test_finer_accumulators_are_taken_only_where_they_hold_the_sums():
    scales = {"a": 0.0173, "b": 0.0173 * 0.0071 * 3.3}
    both = terms(scales, learned("a", 0.0071), passed_on("b"))
    wide, narrow = (align_free(both, 1.0, width).alignment.acc_scale for width in (40, 18))
    assert (wide * 256 == narrow).all()


def test_accumulators_are_never_coarser_than_the_output():
    only = terms({"a": 0.125}, learned("a", 0.25))
    assert (align_exact(only, 1 / 32, 24).alignment.acc_scale == 1 / 32).all()
    assert (align_exact(only, 1 / 128, 24).alignment.acc_scale <= 1 / 128).all()
    assert align_exact(only, 2.0**-20, 24) is None


def test_weights_of_one_magnitude_need_no_step():
    averaged = Branch("a", np.full((3, 1, 2, 2), 0.25), groups=3)
    assert np.array_equal(weight_step("here", averaged), [0.25] * 3)
    turned = Branch("a", np.array([1.0, -2.0, 0.0]).reshape(3, 1, 1, 1), groups=3)
    assert np.array_equal(weight_step("here", turned), [1, 2, 2])
    assert np.array_equal(weight_step("here", Branch("a", np.zeros((3, 3, 1, 1)))), [1, 1, 1])
    real = Branch("a", np.arange(9.0).reshape(3, 3, 1, 1))
    with pytest.raises(QuantizeError, match=r"^here: its weights for a must be quantized like the"):
        weight_step("here", real)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (0.5, r"its weights must be whole multiples of their scale, are not"),
        (-128.0, r"its weights must be integers -127\.\.127, reach -128; quantize weights symm"),
    ],
)
def test_weights_that_are_no_integers_of_the_chip_are_refused(weight, message):
    branch = Branch("a", np.full((3, 3, 1, 1), weight), step=np.ones(3))
    with pytest.raises(QuantizeError, match=rf"^here: {message}"):
        terms({"a": 1.0}, branch)


def test_what_is_rectified_has_no_sign_whatever_the_model_keeps_it_in():
    op = Layer((learned("a", 2.0**-7),), np.zeros(3), (3, 2, 2), Clamp())
    node = Node("here", op, ("a",), (3, 2, 2))
    sources = {"a": Source(1 / 8, UNSIGNED, 8)}
    made = given_layer(node, sources, "exact", 24, FakeQuantize(0.5, -128, 127))
    assert (made.is_signed, made.bits, made.limits) == (False, 7, (0, 127))
