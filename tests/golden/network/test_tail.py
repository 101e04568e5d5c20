# SPDX-License-Identifier: Apache-2.0
"""The host's steps compute what torch computes, and come back from JSON as they were."""

import json

import numpy as np
import pytest
import torch

from stemcore.golden.network.tail import (
    ArgMax,
    Arrange,
    LogSoftmax,
    Scale,
    Sigmoid,
    Softmax,
    TopK,
    apply_tail,
    describe_tail,
    tail_from_plain,
    tail_to_plain,
)

STEPS = [
    (Softmax(1), lambda x: x.softmax(1)),
    (Softmax(3), lambda x: x.softmax(-1)),
    (LogSoftmax(2), lambda x: x.log_softmax(2)),
    (Sigmoid(), torch.sigmoid),
    (ArgMax(1), lambda x: x.argmax(1)),
    (ArgMax(2, keeps_axis=True), lambda x: x.argmax(2, keepdim=True)),
    (TopK(1, 2), lambda x: x.topk(2, 1)),
    (TopK(3, 1, largest=False), lambda x: x.topk(1, 3, largest=False)),
    (TopK(2, 3, result="values"), lambda x: x.topk(3, 2).values),
    (TopK(2, 3, result="indices"), lambda x: x.topk(3, 2).indices),
    (Scale(0.25), lambda x: x * 0.25),
    (Arrange((4, 3, 5)), lambda x: x.reshape(-1, 4, 3, 5)),
    (Arrange((2,), (7, 0)), lambda x: x.flatten(1)[:, [7, 0]]),
]
IDS = [describe_tail([step]) for step, _ in STEPS]


@pytest.mark.parametrize(("step", "reference"), STEPS, ids=IDS)
def test_every_step_computes_what_torch_computes(step, reference, rng):
    x = rng.permutation(2 * 3 * 4 * 5).reshape(2, 3, 4, 5) * 0.7 - 40  # no two are equal
    found, wanted = apply_tail([step], x), reference(torch.from_numpy(x))
    pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
    for got, expected in pairs:
        assert got.shape == tuple(expected.shape)
        np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("step", [Softmax(1), LogSoftmax(1), Sigmoid()])
def test_large_values_do_not_overflow(step):
    x = np.array([[-2000.0, 0.0, 2000.0]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(apply_tail([step], x)).all()


def test_the_first_of_equals_comes_first():
    x = np.array([[1.0, 3.0, 3.0, 2.0]])
    assert apply_tail([ArgMax(1)], x) == [1]
    np.testing.assert_array_equal(apply_tail([TopK(1, 3)], x)[1], [[1, 2, 3]])


def test_a_tail_of_no_step_gives_the_values():
    x = np.arange(6).reshape(2, 3, 1, 1)
    np.testing.assert_array_equal(apply_tail((), x), x)


def test_a_tail_comes_back_from_json():
    steps = tuple(step for step, _ in STEPS)
    assert tail_from_plain(json.loads(json.dumps(tail_to_plain(steps)))) == steps
    assert tail_from_plain([]) == ()


@pytest.mark.parametrize(
    "plain",
    [
        {"is": "Softmax", "axis": 0},
        {"is": "Softmax", "axis": "1"},
        {"is": "Arrange", "shape": [2], "positions": [0]},
        {"is": "Arrange", "shape": [2], "positions": [0, -1]},
        {"is": "Arrange", "shape": [0], "positions": []},
        {"is": "TopK", "axis": 1, "k": 0},
        {"is": "TopK", "axis": 1, "k": 1, "result": "all"},
        {"is": "Scale", "factor": -1.0},
        {"is": "Tanh"},
    ],
)
def test_other_steps_are_refused(plain):
    with pytest.raises(ValueError, match=r"must (have|be)"):
        tail_from_plain([plain])
