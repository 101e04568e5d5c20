# SPDX-License-Identifier: Apache-2.0
"""Groups of cores as programs of their own: together they compute what the whole computes."""

from dataclasses import replace

import numpy as np
import pytest

from stemcore.compiler.assembly.check_program import check_program as check_tokens
from stemcore.compiler.assembly.destinations import DestinationsFullError
from stemcore.compiler.errors import CompileError
from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.virtual.chip import chip_places, virtual_chip
from stemcore.compiler.virtual.core_graph import HOST_NUMBER, CoreGraph
from stemcore.compiler.virtual.core_groups import GROUP_CYCLES, CoreWork, group_cores
from stemcore.compiler.virtual.parts import START_FLITS, load_flits, make_part
from stemcore.compiler.virtual.times import (
    estimate_virtual,
    time_images,
)
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from stemcore.golden.network.results import join, part
from stemcore.golden.program.check import check_program
from stemcore.golden.program.program_file import save_program
from stemcore.golden.reference.event_engine import run_events
from stemcore.golden.reference.program_engine import COUNTERS, run_program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.runtime.host.flits import Host
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import (
    edge_images,
    random_images,
    random_network,
    random_stepped_network,
    with_random_outputs,
)

TINY = get_preset("tiny")


def random_program(number, *, n_outputs=1):
    """A random network, its program on as many cores as it needs, or more, and images."""
    rng = np.random.default_rng((5, number))
    network = random_network(rng)
    if n_outputs > 1:
        network = with_random_outputs(rng, network)
    program = compile_network(network, TINY, **({"cores": 9} if number % 2 else {}))
    images = np.concatenate([random_images(rng, network, 2), edge_images(rng, network)])
    return rng, network, program, images


def run_parts(chip, images):
    """What every population fires, as the host receives it, and as the cores fire it."""
    known, fired = {INPUT: images}, {}
    for group in chip.parts:
        result = run_program(group.program, join([known[name] for name in group.inputs]))
        shapes = {p.name: p.shape for p in group.program.output_populations}
        for name in group.outputs:
            known[name] = known.get(name, 0) + part(result.outputs, shapes, name)
        for name, values in result.values.items():
            fired[name] = fired.get(name, 0) + values
    return known, fired


@pytest.mark.medium
@pytest.mark.parametrize("number", range(12))
def test_parts_compute_what_the_whole_computes(number):
    rng, network, program, images = random_program(number, n_outputs=1 + number % 3)
    chip = virtual_chip(program, int(rng.integers(1, len(program.cores) + 1)))
    known, fired = run_parts(chip, images)
    expected = run_network(network, images)
    for layer in network.layers:
        np.testing.assert_array_equal(fired[layer.name], expected[layer.name], err_msg=layer.name)
    outputs = join([known[name] for name in program.output_layers])
    np.testing.assert_array_equal(outputs, network.joined(expected))


@pytest.mark.parametrize("mode", ["late", "scaled"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_parts_that_integrate_per_time_step_keep_in_step(mode, size, rng):
    network = random_stepped_network(rng, mode, max_channels=6, max_size=6)
    program = compile_network(network, TINY.with_integration(mode))
    images = np.concatenate([random_images(rng, network, 2), edge_images(rng, network)])
    _, fired = run_parts(virtual_chip(program, size), images)
    expected = run_network(network, images)
    for layer in network.layers:
        np.testing.assert_array_equal(fired[layer.name], expected[layer.name], err_msg=layer.name)


@pytest.mark.medium
@pytest.mark.parametrize("number", [0, 2])
def test_a_part_played_packet_by_packet_counts_alike(number):
    _, network, program, images = random_program(number)
    chip = virtual_chip(program, 2)
    known, _ = run_parts(chip, images)
    for group in chip.parts:
        sent = join([known[name] for name in group.inputs])
        result = run_program(group.program, sent)
        for n in (0, len(sent) - 2):  # a random image, and one that is nearly empty
            literal = run_events(group.program, sent[n], order=np.random.default_rng(n))
            np.testing.assert_array_equal(result.outputs[n], literal.outputs)
            assert result.input_spikes[n] == literal.input_spikes
            for counter in COUNTERS:
                expected = [getattr(core, counter) for core in literal.counters]
                np.testing.assert_array_equal(result.counters[counter][n], expected)


@pytest.mark.medium
@pytest.mark.parametrize("size", [1, 2, 3, 7, 56])
def test_every_core_is_in_one_group_after_its_sources(size):
    _, _, program, _ = random_program(3)
    chip = virtual_chip(program, size)
    graph, seen = CoreGraph(program), set()
    assert sorted(core for group in chip.parts for core in group.cores) == list(
        range(len(program.cores))
    )
    for group in chip.parts:
        assert 1 <= len(group.cores) <= size
        sources = {s for core in group.cores for s in graph.cores[core].credits}
        assert sources <= seen | set(group.cores) | {HOST_NUMBER}
        seen |= set(group.cores)
        check_program(group.program)
        check_tokens(group.program)
        for core, image in zip(group.cores, group.program.cores, strict=True):
            assert image.layer == program.cores[core].layer


def test_a_core_alone_has_the_host_as_its_only_partner():
    """The host is one source and one destination, so that no count of tokens can be too large."""
    _, _, program, _ = random_program(5)
    for group in virtual_chip(program, 1).parts:
        assert group.program.input_credits == group.program.output_ends == 1
        assert len(group.program.cores) == 1


@pytest.mark.parametrize("number", range(4))
def test_loading_takes_the_flits_that_the_host_sends(number):
    _, _, program, _ = random_program(number)
    for group in virtual_chip(program, 2).parts:
        host = Host(group.program)
        flits = sum(len(host.configuration(core)) for core in group.program.cores)
        flits += sum(len(host.start(core)) for core in group.program.cores)
        assert load_flits(group.program) == flits
        assert all(len(host.start(core)) == START_FLITS for core in group.program.cores)


@pytest.mark.medium
def test_estimated_transfer_is_that_of_the_images_spikes():
    """Flits of one image: estimated from its spikes, counted in what the host sends and gets."""
    _, network, program, images = random_program(1)
    values = run_network(network, images[:1])
    activity = {
        name: count_spikes(array[0], network.population(name).bits)
        for name, array in values.items()
    }
    chip = virtual_chip(program, 3, activity)
    times = estimate_virtual(chip, activity)
    for group, found in zip(chip.parts, times.groups, strict=True):
        sent = join([values[name] for name in group.inputs])
        host = Host(group.program)
        assert found.flits_in == len(host.sample(sent[0])) + len(host.credits())
        spikes = run_program(group.program, sent).outputs
        shapes = {p.name: p.shape for p in group.program.output_populations}
        out = sum(
            count_spikes(part(spikes, shapes, p.name), p.bits).sum()
            for p in group.program.output_populations
        )
        ends = group.program.output_ends + group.program.input_credits
        assert found.flits_out == out + ends
    assert times.load == sum(load_flits(group.program) for group in chip.parts)
    assert times.per_image(1000) < times.per_image(1)
    of_images = time_images(chip, images, run_network(network, images), activity)
    assert of_images.load == times.load
    assert of_images.flits_in == times.flits_in
    assert 0 < of_images.interval < of_images.of_batch(1) - of_images.load
    # With one image the first is the last: only the first group's load comes before it.
    alone = of_images.of_batch(1) - of_images.groups[0].load
    assert of_images.first_image(1) == pytest.approx(alone)


def group_cost(graph, work, input_spikes, group):
    """Cycles of one group of cores, its spikes counted anew."""
    into = input_spikes * any(HOST_NUMBER in graph.cores[c].credits for c in group)
    out = 0.0
    for core, links in enumerate(graph.cores):
        for run, spikes in zip(links.runs, work[core].sent, strict=True):
            if core not in group:
                into += spikes * max(sum(t == c for t, _ in run.targets) for c in group)
            elif run.cores - group:
                out += spikes
    return max(max(work[c].busy for c in group), into, out) + GROUP_CYCLES


def all_cuts(order, size):
    """Every way to cut a list into pieces of at most ``size``."""
    if not order:
        yield []
    for n in range(1, min(size, len(order)) + 1):
        for rest in all_cuts(order[n:], size):
            yield [order[:n], *rest]


@pytest.mark.parametrize("number", range(6))
def test_groups_are_the_cheapest_cut(number):
    rng, _, program, _ = random_program(number)
    graph = CoreGraph(program)
    work = [
        CoreWork(float(rng.integers(0, 500)), tuple(rng.integers(0, 99, len(links.runs)).tolist()))
        for links in graph.cores
    ]
    size = int(rng.integers(1, 5))
    groups, cycles = group_cores(graph, work, 50.0, size)
    assert [core for group in groups for core in group] == graph.order
    costs = [
        sum(group_cost(graph, work, 50.0, set(group)) for group in cut)
        for cut in all_cuts(graph.order, size)
    ]
    chosen = sum(group_cost(graph, work, 50.0, set(group)) for group in groups)
    assert chosen == pytest.approx(min(costs)) == pytest.approx(cycles)


@pytest.mark.medium
def test_a_destination_table_that_is_too_small_halves_the_group(monkeypatch):
    """The whole has room for all its entries on its mesh; a chip of another shape may not."""
    _, _, program, images = random_program(3)
    n = len(program.cores)
    tried = []

    def make(graph, cores, places):
        tried.append(len(cores))
        if len(cores) > 2:
            raise DestinationsFullError("core", "must hold 40 entries, has 32")
        return make_part(graph, cores, places)

    monkeypatch.setattr("stemcore.compiler.virtual.chip.make_part", make)
    chip = virtual_chip(program, n)
    assert max(tried) > 2
    assert max(len(group.cores) for group in chip.parts) == 2
    assert sorted(core for group in chip.parts for core in group.cores) == list(range(n))
    _, fired = run_parts(chip, images)
    whole = run_program(program, images)
    np.testing.assert_array_equal(fired[program.output], whole.values[program.output])


def test_a_table_that_is_too_small_for_one_core_is_refused(monkeypatch):
    program, _ = dense_program(1)

    def make(graph, cores, places):
        raise DestinationsFullError("core", "must hold 40 entries, has 32")

    monkeypatch.setattr("stemcore.compiler.virtual.chip.make_part", make)
    with pytest.raises(DestinationsFullError, match=r"^core: must hold 40 entries, has 32"):
        virtual_chip(program, 1)


@pytest.mark.medium
def test_the_batch_makes_loading_cheap_and_bounds_what_the_host_keeps(monkeypatch):
    _, _, program, _ = random_program(3)
    chip = virtual_chip(program, 1)
    largest = max(
        sum(p.shape[0] * p.shape[1] * p.shape[2] for p in group.program.inputs)
        for group in chip.parts
    )
    assert chip.kept_bytes >= largest
    load = sum(load_flits(group.program) for group in chip.parts)
    monkeypatch.setattr("stemcore.compiler.virtual.chip.LOAD_SHARE", 0.5)
    assert virtual_chip(program, 1).batch < chip.batch < load
    monkeypatch.setattr("stemcore.compiler.virtual.chip.LOAD_SHARE", 1e-6)
    monkeypatch.setattr("stemcore.compiler.virtual.chip.KEPT_BYTES", 3 * chip.kept_bytes + 1)
    assert virtual_chip(program, 1).batch == 3
    monkeypatch.setattr("stemcore.compiler.virtual.chip.KEPT_BYTES", 1)
    assert virtual_chip(program, 1).batch == 1


@pytest.mark.parametrize(
    ("n", "mesh"),
    [(1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (5, (5, 1)), (12, (4, 3)), (53, (8, 7)), (56, (8, 7))],
)
def test_a_chip_is_as_square_as_a_full_rectangle_can_be(n, mesh):
    places = chip_places(n, TINY, "net")
    assert len(set(places)) == n
    columns, rows = max(x for x, _ in places) + 1, max(y for _, y in places)
    assert columns <= TINY.max_columns
    assert rows <= TINY.max_rows
    assert columns * (rows - 1) < n <= columns * rows
    assert (columns, rows) == mesh


def test_impossible_chips_are_refused(tmp_path):
    program, _ = conv_chain_program(1)
    with pytest.raises(CompileError, match=r"^conv_chain: a chip must have 1 core or more, got 0"):
        virtual_chip(program, 0)
    with pytest.raises(CompileError, match=r"must have at most 56 cores, got 57; leave"):
        virtual_chip(program, 57)
    group = virtual_chip(program, 1).parts[0]
    with pytest.raises(CompileError, match=r"must be a whole program, got a part"):
        virtual_chip(group.program, 1)
    with pytest.raises(ValueError, match=r"must be a whole program to be saved, got a part"):
        save_program(group.program, tmp_path / "part")


def test_spikes_of_a_part_must_be_whole_words_and_of_known_populations():
    program, _ = conv_chain_program(1)
    group = virtual_chip(program, 1).parts[-1].program
    (route, *_) = group.input_routes
    sent = bytearray(route.sent)
    sent[0] ^= 0x80
    broken = replace(group, input_routes=(replace(route, sent=bytes(sent)),))
    images = np.zeros((1, *group.input_shape), np.int64)
    with pytest.raises(ValueError, match=r"input route 0: must send whole words of 4 channels"):
        run_program(broken, images)
    with pytest.raises(ValueError, match=r"input route 0: population: must lie in 0\.\.0, got 1"):
        check_program(replace(group, input_routes=(replace(route, population=1),)))
    with pytest.raises(ValueError, match=r"input route 0: bytes of sent: must lie in"):
        check_program(replace(group, input_routes=(replace(route, sent=b""),)))


def gaps(program):
    """Least distance between the spikes of each core, by layer and in order."""
    mode = Formats(program.params).mode
    words = [core.memories[Memory.CONTROL][Control.MODE].item() for core in program.cores]
    return [mode.unpack(int(word))["gap"] for word in words]


@pytest.mark.medium
def test_cores_fire_at_the_pace_of_the_destinations_that_are_in_their_group():
    """In the whole they wait for slow destinations; alone they send to the host, and need not."""
    _, _, program, _ = random_program(3)
    assert max(gaps(program)) > 1
    for group in virtual_chip(program, 1).parts:
        assert max(gaps(group.program)) <= 1
    whole = virtual_chip(program, len(program.cores)).parts[0]
    slowed = dict(zip(whole.cores, gaps(whole.program), strict=True))
    assert [slowed[number] for number in range(len(program.cores))] == gaps(program)


def test_a_chip_with_room_for_all_runs_one_group():
    program, _ = dense_program(1)
    chip = virtual_chip(program, 4)
    assert len(chip.parts) == 1
    assert chip.mesh == (2, 2)
