# SPDX-License-Identifier: Apache-2.0
"""What candidates save and cost, against whole runs; the order in which they are taken."""

import numpy as np
import pytest

from stemcore.compiler.errors import SparsifyError
from stemcore.compiler.sparsity.search import (
    SCHEMES,
    Candidate,
    Measurement,
    divergence,
    greedy_path,
    scheme_tables,
)
from stemcore.compiler.sparsity.tables import NONE, apply_tables
from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.network.forward import n_sops, run_network
from stemcore.golden.network.network import INPUT
from tests.support.random_networks import random_images, random_network


def sops_of(network, values, name):
    """Operations per image of the spikes that one population fires, by the general count."""
    zeros = {key: np.zeros_like(array) for key, array in values.items()}
    sops = n_sops(network, {**zeros, name: values[name]})
    return sum(of.sum() for of in sops.values()) / len(values[name])


@pytest.mark.medium
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("number", range(4))
def test_candidates_are_what_whole_runs_say(scheme, number, rng):
    network = random_network(rng)
    images = random_images(rng, network, 5)
    tables = scheme_tables(network, scheme)
    assert list(tables) == [INPUT, *(layer.name for layer in network.layers[:-1])]
    output, scale = network.output.name, network.scales[network.output.name]
    plain = run_network(network, images)
    found = Measurement(network, tables).run(images)
    assert len(found) == sum(1 + len(of) for of in tables.values())
    for candidate in found:
        name = candidate.layer
        if candidate.name == NONE:
            assert candidate.loss == 0
            assert candidate.sops == pytest.approx(sops_of(network, plain, name), rel=1e-12)
            continue
        table = tables[name][candidate.name]
        changed = images if name != INPUT else apply(table, images)
        values = run_network(apply_tables(network, {name: table}), changed)
        assert candidate.sops == pytest.approx(sops_of(network, values, name), rel=1e-12)
        expected = divergence(plain[output], values[output], scale).mean()
        assert candidate.loss == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_operations_of_all_populations_add_up(rng):
    network = random_network(rng)
    images = random_images(rng, network, 3)
    total = sum(of.mean() for of in n_sops(network, run_network(network, images)).values())
    found = Measurement(network, scheme_tables(network, "rd")).run(images)
    assert sum(c.sops for c in found if c.name == NONE) == pytest.approx(total, rel=1e-12)


def test_an_unknown_scheme_is_refused(rng):
    with pytest.raises(SparsifyError, match=r"^SCHEME: must be one of hybrid, rd, got 'best'$"):
        scheme_tables(random_network(rng), "best")


def test_divergence_of_scores_is_the_softmax_one():
    p, q = np.array([[3, 1, 0]]), np.array([[2, 2, 0]])
    a, b = np.exp(p / 4), np.exp(q / 4)
    a, b = a / a.sum(), b / b.sum()
    assert divergence(p, q, 0.25) == pytest.approx([(a * np.log(a / b)).sum()], rel=1e-12)
    assert divergence(p, p, 0.25).tolist() == [0.0]
    assert divergence(p + 7, q, 0.25) == pytest.approx(divergence(p, q, 0.25), rel=1e-12)


def test_divergence_of_maps_is_the_squared_difference():
    p = np.arange(8).reshape(1, 2, 2, 2)
    assert divergence(p, p + 2, 0.5).tolist() == [1.0]


def test_the_path_takes_the_cheapest_step_first_and_skips_what_lies_above_the_hull():
    candidates = [
        Candidate("a", NONE, 100, 0.0),
        Candidate("a", "rot1", 80, 0.02),
        Candidate("a", "rot2", 60, 0.03),
        Candidate("a", "rot3", 40, 0.30),
        Candidate("b", NONE, 50, 0.0),
        Candidate("b", "rot1", 45, 0.025),
        Candidate("b", "more", 48, 0.9),
        Candidate("c", NONE, 10, 0.0),
    ]
    assert greedy_path(candidates) == [
        {},
        {"a": "rot2"},
        {"a": "rot2", "b": "rot1"},
        {"a": "rot3", "b": "rot1"},
    ]


def test_a_step_that_helps_comes_first():
    candidates = [
        Candidate("a", NONE, 10, 0.0),
        Candidate("a", "x", 5, 0.1),
        Candidate("b", NONE, 10, 0.0),
        Candidate("b", "y", 9, -0.1),
    ]
    assert greedy_path(candidates)[1] == {"b": "y"}
