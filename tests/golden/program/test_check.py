# SPDX-License-Identifier: Apache-2.0
"""Sizes and places of a program: taken at their ends, refused one beyond."""

from dataclasses import replace

import pytest

from stemcore.golden.program.check import LARGEST, MOST_TOKENS, check_program
from stemcore.golden.program.program import InputRoute
from tests.support.hand_programs import dense_program

PROGRAM = replace(dense_program()[0], columns=2, rows=2)
PARAMS = PROGRAM.params
SIDE = 1 << PARAMS.coord_width
(CORE,), (LAYER,) = PROGRAM.cores, PROGRAM.layers
_, HEIGHT, WIDTH = PROGRAM.input.shape


def core(**fields):
    return {"cores": (replace(CORE, **fields),)}


def layer(**fields):
    return {"layers": (replace(LAYER, **fields),)}


def size(axis, n):
    shape = list(PROGRAM.input.shape)
    shape[axis] = n
    return {"input": replace(PROGRAM.input, shape=tuple(shape)), "input_routes": ()}


def route(rows=(0, 0), columns=(0, 0), nodes=(0, 1, 0, 1), axon=0):
    return {"input_routes": (InputRoute(rows, columns, nodes, axon),)}


def end(*rectangle):
    return {"input_end": (rectangle,)}


TAKEN = {
    "all columns": {"columns": SIDE},
    "last column": {"columns": 3, **core(x=2), "output_cores": ((2, 1),)},
    "one bit": {"input": replace(PROGRAM.input, bits=1)},
    "all rows": {"rows": SIDE - 1},
    "largest layer": layer(shape=(LARGEST, LARGEST, LARGEST)),
    "no work": layer(n_macs=0, n_parameters=0),
    "much work": layer(n_macs=1 << 62, n_parameters=1 << 62),
    "all channels": size(0, 1 << PARAMS.c_width),
    "all map rows": size(1, 1 << PARAMS.y_width),
    "all map columns": size(2, 1 << PARAMS.x_width),
    "last route": route((HEIGHT - 1,) * 2, (WIDTH - 1,) * 2, (1, 2, 1, 2), PARAMS.n_axons - 1),
    "one row": end(0, 1, 1, 1),
    "one column": end(1, 1, 1, 2),
    "everything": end(0, 1, 1, 2),
    "tokens": {"input_credits": MOST_TOKENS, "output_ends": MOST_TOKENS},
    "one token": {"input_credits": 1, "output_ends": 1},
}
REFUSED = {
    "no columns": ({"columns": 0}, "columns: must lie in 1..8, got 0"),
    "columns": ({"columns": SIDE + 1}, "columns"),
    "no rows": ({"rows": 0}, "rows"),
    "rows": ({"rows": SIDE}, "rows: must lie in 1..7, got 8"),
    "two layers of a name": ({"layers": (LAYER, LAYER)}, "layers: every name"),
    "layer": (layer(shape=(1, LARGEST + 1, 1)), "layer .*: H"),
    "empty layer": (layer(shape=(1, 1, 0)), "layer .*: W"),
    "less than no work": (layer(n_macs=-1), "layer .*: n_macs"),
    "too much work": (layer(n_parameters=(1 << 62) + 1), "layer .*: n_parameters"),
    "channels": (size(0, (1 << PARAMS.c_width) + 1), "input: C"),
    "no rows of a map": (size(1, 0), "input: H"),
    "bits": ({"input": replace(PROGRAM.input, bits=9)}, "input: bits"),
    "no bits": ({"input": replace(PROGRAM.input, bits=0)}, "input: bits"),
    "no cores": ({"cores": ()}, "cores: there must"),
    "two cores of a node": ({"cores": (CORE, CORE)}, "cores: a node"),
    "core in the east": (core(x=2), "core of .*: x"),
    "core in row 0": (core(y=0), "core of .*: y"),
    "core in the south": (core(y=3), "core of .*: y"),
    "core of no layer": (core(layer="none"), "cores: a layer"),
    "route beyond": (route(rows=(0, HEIGHT)), "input route 0: rows"),
    "route backwards": (route(columns=(1, 0)), "input route 0: columns"),
    "route before": (route(columns=(-1, 0)), "input route 0: columns"),
    "route to no axon": (route(axon=PARAMS.n_axons), "input route 0: axon"),
    "backwards in x": (end(1, 1, 0, 1), "input end 0: the first corner"),
    "backwards in y": (end(0, 2, 0, 1), "input end 0: the first corner"),
    "backwards in x alone": (end(1, 1, 0, 2), "input end 0: the first corner"),
    "no credits": ({"input_credits": 0}, "input_credits"),
    "credits": ({"input_credits": MOST_TOKENS + 1}, "input_credits"),
    "no ends": ({"output_ends": 0}, "output_ends"),
    "ends": ({"output_ends": MOST_TOKENS + 1}, "output_ends"),
    "output of no layer": ({"output": "none"}, "output: must be a layer"),
    "output of no core": ({"output_cores": ((1, 1),)}, "output_cores"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_largest_is_taken(name):
    check_program(replace(PROGRAM, **TAKEN[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_one_beyond_is_refused(name):
    changes, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"^{message}"):
        check_program(replace(PROGRAM, **changes))


@pytest.mark.parametrize("n_bytes", [3, 4, 5])
def test_neurons_that_a_route_names_are_a_bit_each(n_bytes):
    """2 channels of 3 rows and 5 columns: 30 bits, in 4 bytes."""
    source = replace(PROGRAM.input, shape=(2, 6, 8))
    routes = (InputRoute((2, 4), (3, 7), (0, 1, 0, 1), 0, sent=bytes(n_bytes)),)
    program = replace(PROGRAM, input=source, input_routes=routes)
    if n_bytes == 4:
        check_program(program)
        return
    with pytest.raises(ValueError, match=r"^input route 0: bytes of sent: must lie in 4\.\.4, got"):
        check_program(program)
