# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from stemcore.golden.network.results import (
    Output,
    Results,
    check_results,
    describe_tails,
    join,
    part,
)
from stemcore.golden.network.tail import ArgMax, Softmax

AB = (Output("a", "x"), Output("b", "y"))


def results(node, outputs=AB):
    return Results(outputs, json.dumps(node))


def test_values_are_joined_flat_and_come_apart_again(rng):
    shapes = {"x": (2, 3, 4), "y": (5, 1, 1), "z": (1, 2, 2)}
    arrays = {name: rng.integers(-9, 9, (3, *shape)) for name, shape in shapes.items()}
    joined = join(list(arrays.values()))
    assert joined.shape == (3, 24 + 5 + 4, 1, 1)
    for name, array in arrays.items():
        np.testing.assert_array_equal(part(joined, shapes, name), array)
    assert join([arrays["x"]]) is arrays["x"]
    assert join([array[:0] for array in arrays.values()]).shape == (0, 33, 1, 1)
    with pytest.raises(KeyError):
        part(joined, shapes, "w")


def test_outputs_are_arranged_as_the_structure_says():
    node = {"dict": [["k", {"tuple": [0, None]}], [3, {"list": [1, 0]}]]}
    found = results(node).arrange(["A", "B"])
    assert found == {"k": ("A", None), 3: ["B", "A"]}
    assert Results().sources == ()
    assert not Results()


def test_a_layer_is_heard_once_whatever_it_is_returned_as():
    outputs = (*AB, Output("c", "x", (ArgMax(1),)))
    found = results({"tuple": [0, 1, 2]}, outputs)
    assert found.sources == ("x", "y")
    renamed = found.with_sources({"x": "x.skip_buffer1", "y": "y"}.__getitem__)
    assert [output.source for output in renamed.outputs] == [
        "x.skip_buffer1",
        "y",
        "x.skip_buffer1",
    ]
    assert describe_tails(found.outputs) == "c: argmax over axis 1"
    assert describe_tails((Output("output", "x", (Softmax(1),)),)) == "softmax over axis 1"


def test_own_shape_comes_back_where_nothing_is_computed():
    values = np.arange(6.0).reshape(2, 3, 1, 1)
    assert Output("a", "x", shape=(3,)).final(values).shape == (2, 3)
    assert Output("a", "x").final(values).shape == (2, 3, 1, 1)
    assert Output("a", "x", (ArgMax(1),), (3,)).final(values).shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (results({"tuple": [0]}), r"the arrangement must hold 2 outputs, holds \[0\]"),
        (results({"tuple": [0, 1, 2]}), r"the arrangement must hold 2 outputs, holds \[0, 1, 2\]"),
        (results({"set": [0, 1]}), r"must be arranged in tuple, list or dict, got \{'set'"),
        (results({"tuple": [0, 1], "list": []}), r"must be arranged in tuple, list or dict"),
        (results({"dict": [["a", 0], [1]]}), r"a dict must hold pairs of key and value"),
        (results({"tuple": [0, True]}), r"must be arranged in tuple, list or dict, got True"),
        (results({"tuple": [0, -1]}), r"must be arranged in tuple, list or dict, got -1"),
        (Results(AB, "{"), r"their arrangement must be JSON"),
        (results([], (AB[0], Output("a", "y"))), r"must have different names, got a, a"),
        (results([], (Output("a", "z"),)), r"^output a: must be of one of x, y, got 'z'"),
    ],
)
def test_results_that_contradict_themselves_are_refused(found, message):
    with pytest.raises(ValueError, match=message):
        check_results(found, dict.fromkeys(["x", "y"]))


def test_endless_containers_are_refused():
    node = {"tuple": [0, 1]}
    for _ in range(40):
        node = {"list": [node]}
    with pytest.raises(ValueError, match="at most 32 containers"):
        check_results(results(node), dict.fromkeys(["x", "y"]))
