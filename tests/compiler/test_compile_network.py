# SPDX-License-Identifier: Apache-2.0
"""Compiled programs compute what their networks say, on every integer of every layer."""

import numpy as np
import pytest

from stemcore.compiler.errors import CompileError, PartitionError, PlacementError
from stemcore.compiler.lowering.ranges import potentials_fit
from stemcore.compiler.mapping.connectivity import block_count
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.forward import n_sops, run_network
from stemcore.golden.network.network import (
    INPUT,
    Connection,
    MaxPool,
    Network,
    Population,
    UnevenMaxPool,
)
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.presets import PRESETS, get_preset
from tests.support.chains import chain, convolution, plain_layer
from tests.support.random_networks import (
    edge_images,
    random_images,
    random_network,
    random_weight,
)
from tests.support.wide_networks import wide_network

TINY = get_preset("tiny")


def compare(program, network, images):
    expected = run_network(network, images)
    result = run_program(program, images)
    for layer in network.layers:
        got, wanted = result.values[layer.name], expected[layer.name]
        if not np.array_equal(got, wanted):
            first = tuple(int(i) for i in np.argwhere(got != wanted)[0])
            raise AssertionError(f"{layer.name} {first}: got {got[first]}, wanted {wanted[first]}")
    np.testing.assert_array_equal(result.outputs, expected[network.output.name])
    return result, expected


@pytest.mark.medium
@pytest.mark.parametrize(
    "batch", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 12))]
)
def test_random_networks_match_golden(batch, rng):
    for _ in range(10):
        network = random_network(rng)
        sizes = ({}, {"columns": 3, "rows": 3}, {"cores": 9}, {"columns": 8, "rows": 1})
        program = compile_network(network, TINY, **sizes[int(rng.integers(len(sizes)))])
        compare(program, network, random_images(rng, network, 2))


@pytest.mark.medium
@pytest.mark.parametrize(
    "batch", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 8))]
)
def test_networks_of_stranger_layers_match_golden_on_any_preset(batch, rng):
    names = sorted(name for name, params in PRESETS.items() if params.model.is_exact)
    for _ in range(10):
        params = get_preset(str(rng.choice(names)))
        most = min(params.n_axons, 6)
        network = wide_network(
            rng, max_connections=most, general=None if params.multipliers else False
        )
        images = np.concatenate([random_images(rng, network, 2), edge_images(rng, network, 1)])
        compare(compile_network(network, params), network, images)


@pytest.mark.parametrize(
    "pool",
    [
        MaxPool((1, 1), (2, 1)),
        MaxPool((2, 1), (3, 2)),
        UnevenMaxPool(((0, 1), (3, 5)), ((1, 2), (4, 6))),
    ],
)
def test_pooling_with_gaps_matches_golden(pool, rng):
    weight = random_weight(rng, 5, 2, 1, 1)
    connection = Connection(INPUT, weight)
    layer = plain_layer("gaps", (5, 5, 6), connection, pool=pool)
    network = Network("gaps", Population(INPUT, (2, 5, 6), 8, True), (layer,), {})
    program = compile_network(network, TINY, cores=2)
    compare(program, network, random_images(rng, network, 2))


def has_exact_sops(program, layer):
    """No position is computed twice or never, and no group of channels crosses a block."""
    lanes = program.params.lanes
    for connection in layer.connections:
        per_group = layer.shape[0] // connection.groups
        if connection.groups > 1 and per_group % lanes and lanes % per_group:
            return False
    words = sum(
        len(np.unique(core.memories[6] & (program.params.n_acc_words - 1)))
        for core in program.cores
        if core.layer == layer.name
    )
    return words == np.prod(layer.shape[1:]) * block_count(layer.shape[0], lanes)


@pytest.mark.medium
def test_sops_are_spikes_times_synapses(rng):
    n_compared = 0
    for _ in range(20):
        network = random_network(rng)
        program = compile_network(network, TINY, columns=3, rows=3)
        result, expected = compare(program, network, random_images(rng, network, 2))
        wanted = n_sops(network, expected)
        for layer in network.layers:
            if has_exact_sops(program, layer):
                cores = [i for i, core in enumerate(program.cores) if core.layer == layer.name]
                got = result.counters["sops"][:, cores].sum(axis=1)
                np.testing.assert_array_equal(got, wanted[layer.name], err_msg=layer.name)
                n_compared += 1
    assert n_compared > 20


@pytest.mark.medium
def test_same_input_gives_the_same_bytes(rng, tmp_path):
    network = random_network(rng)
    for name in ("a", "b"):
        save_program(compile_network(network, TINY, columns=3, rows=3), tmp_path / name)
    for file in ("program.json", "memories.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    images = random_images(rng, network, 1)
    compare(load_program(tmp_path / "a"), network, images)


@pytest.mark.medium
def test_residual_of_the_same_source_twice(rng):
    network = chain((4, 5, 5), 4)
    same = convolution("layer0", 4, 4, (1, 1), groups=4, value=1, shift=7)
    layer = plain_layer(
        "sum", (4, 5, 5), convolution("layer0", 4, 4, (3, 3), padding=1), same, same
    )
    network = type(network)("twice", network.input, (*network.layers, layer), network.scales)
    compare(compile_network(network, TINY, cores=6), network, random_images(rng, network, 2))


@pytest.mark.medium
def test_sources_and_positions_that_nobody_needs(rng):
    """A 1 x 1 convolution with stride 4 leaves rows unread; padding 2 leaves outputs unread."""
    network = chain((1, 9, 9), 3)
    sparse = convolution("layer0", 3, 5, (1, 1), stride=4)
    first = plain_layer("sparse", (5, 3, 3), sparse)
    unread = plain_layer("unread", (4, 7, 7), convolution("sparse", 5, 4, (1, 1), padding=2))
    network = type(network)("gaps", network.input, (*network.layers, first, unread), network.scales)
    for cores in (9, 20):
        program = compile_network(network, TINY, cores=cores)
        compare(program, network, random_images(rng, network, 2))


@pytest.mark.medium
@pytest.mark.parametrize("preset", ["sim32", "ecp5", "ecp5_32"])
def test_other_presets_match_golden(preset, rng):
    for _ in range(3):
        network = random_network(rng, max_channels=40, max_size=12)
        program = compile_network(network, get_preset(preset), columns=3, rows=2)
        compare(program, network, random_images(rng, network, 1))


def test_default_mesh_is_the_smallest_near_square_one():
    program = compile_network(chain((3, 8, 8), 8, "M", ("dense", 10)), TINY)
    assert program.columns - 1 <= program.rows <= program.columns
    assert len(program.cores) <= program.columns * program.rows


def test_layer_infos_count_macs_without_padding():
    network = chain((3, 4, 5), 6, "M", ("dense", 10))
    infos = compile_network(network, TINY).layers
    rows, columns = 2 + 2 + 3 * 2, 2 + 2 + 3 * 3
    assert [info.n_macs for info in infos] == [rows * columns * 3 * 6, 6 * 2 * 2 * 10]
    assert [info.n_parameters for info in infos] == [3 * 6 * 9 + 6, 6 * 2 * 2 * 10 + 10]
    assert infos[0].shape == (6, 4, 5)
    assert infos[0].population.shape == (6, 2, 2)


def weights_of(total, sign):
    """As few weights of 8 bits as have this sum, all of one sign."""
    n = -(-total // 127)
    weights = np.full(n, total // n)
    weights[: total % n] += 1
    assert weights.sum() == total and weights.max() <= 127
    return (sign * weights).astype(np.int8).reshape(1, n, 1, 1)


@pytest.mark.parametrize(
    ("total", "sign", "bits", "is_signed", "reached", "fits"),
    [
        (4681, 1, 3, False, 32767, True),
        (4682, 1, 3, False, 32774, False),
        (4681, -1, 3, False, -32767, True),
        (4682, -1, 3, False, -32774, False),
        # The bit of the sign weighs -2 and alone reaches further than the others.
        (16384, 1, 2, True, -32768, True),
        (16385, 1, 2, True, -32770, False),
        (16383, -1, 2, True, 32766, True),
        (16384, -1, 2, True, 32768, False),
    ],
)
def test_overflow_proof_ends_where_a_sum_leaves_its_bits(
    total, sign, bits, is_signed, reached, fits
):
    weight = weights_of(total, sign)
    source = Population(INPUT, (weight.shape[1], 1, 1), bits, is_signed)
    spikes = -(1 << bits - 1) if is_signed else (1 << bits) - 1  # of the sign, or all of them
    assert sign * total * spikes == reached
    layer = plain_layer("only", (1, 1, 1), Connection(INPUT, weight))
    network = Network("net", source, (layer,), {})
    assert potentials_fit(network, TINY.with_(acc_width=16)) == fits
    assert potentials_fit(network, TINY.with_(acc_width=17))


def test_average_pooling_has_no_parameters():
    connection = convolution(INPUT, 4, 4, (2, 2), stride=2, groups=4, value=64)
    network = chain((4, 6, 6), 4)
    layer = plain_layer("mean", (4, 3, 3), connection)
    network = type(network)("mean", network.input, (layer,), {})
    info = compile_network(network, TINY).layers[0]
    assert (info.n_macs, info.n_parameters) == (4 * 36, 0)


def test_overflow_proof_is_tight():
    network = chain((1, 4, 4), ("dense", 4))
    weights = network.layers[0].connections[0].weight
    limit = int(weights.astype(int).sum(axis=(1, 2, 3)).max()) * 255
    width = limit.bit_length() + 1
    assert potentials_fit(network, TINY.with_(acc_width=width))
    assert not potentials_fit(network, TINY.with_(acc_width=width - 1))
    assert not compile_network(network, TINY.with_(acc_width=width - 1)).overflow_proved
    assert compile_network(network, TINY, overflow_proved=False).overflow_proved is False


def test_columns_without_rows_are_refused():
    with pytest.raises(ValueError, match=r"^compile_network: columns and rows must be given toge"):
        compile_network(chain((1, 4, 4), 4), TINY, columns=2)


def test_too_large_mesh_is_refused():
    match = r"^mesh: must have 1 to 8 columns and 1 to 7 rows, got 9 x 1; choose a smaller mesh"
    with pytest.raises(PlacementError, match=match):
        compile_network(chain((1, 4, 4), 4), TINY, columns=9, rows=1)


def test_too_small_mesh_is_refused():
    match = r"^chain: needs at least 4 cores, has 2; give more cores, a larger mesh or a preset"
    with pytest.raises(PartitionError, match=match):
        compile_network(chain((1, 8, 8), 4, 8, "M", ("dense", 3)), TINY, columns=2, rows=1)


def test_unread_layer_is_refused():
    network = chain((1, 4, 4), 4)
    layers = (plain_layer("idle", (4, 4, 4), convolution(INPUT, 1, 4, (3, 3), padding=1)),)
    network = type(network)("net", network.input, layers + network.layers, {})
    match = r"^idle: must be read by another layer or be an output, nothing reads it; remove"
    with pytest.raises(CompileError, match=match):
        compile_network(network, TINY)


def test_activity_of_the_wrong_shape_is_refused():
    match = (
        r"^activity of layer0: must be a number or an array of shape \(4, 4, 4\), got shape \(4,\)"
    )
    with pytest.raises(CompileError, match=match):
        compile_network(chain((1, 4, 4), 4), TINY, activity={"layer0": np.zeros(4)})


def test_activity_of_an_unknown_population_is_refused():
    match = r"^activity: must name populations of the network, got conv9; use input, layer0$"
    with pytest.raises(CompileError, match=match):
        compile_network(chain((1, 4, 4), 4), TINY, activity={"conv9": 1.0})


def test_negative_activity_is_refused():
    match = r"^activity of input: must be finite and not negative, got -1.0 to -1.0; give spikes"
    with pytest.raises(CompileError, match=match):
        compile_network(chain((1, 4, 4), 4), TINY, activity={"input": -1.0})
