# SPDX-License-Identifier: Apache-2.0
"""Cores that take turns on a chip: every engine gives what it gives with all cores there."""

import numpy as np
import pytest

from stemcore.compiler.pipeline import compile_network
from stemcore.compiler.virtual.chip import virtual_chip
from stemcore.folders import engines as engines_folder
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.engines.compare import chip_difference, first_difference
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.host.bursts import as_bursts
from stemcore.runtime.host.flits import Host
from tests.support.chip_programs import four_core_case, stepped_case
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import (
    edge_images,
    random_images,
    random_network,
    with_random_outputs,
)


@pytest.fixture
def case(rng):
    """A network with two outputs or three, images of all kinds, and what they lead to."""
    network = with_random_outputs(rng, random_network(rng, n_layers=3))
    program = compile_network(network, get_preset("tiny"), cores=8)
    images = np.concatenate([random_images(rng, network, 2), edge_images(rng, network)])
    return network, program, images, run_network(network, images)


@pytest.mark.medium
@pytest.mark.parametrize("batch", [1, 3, 100])
@pytest.mark.parametrize("size", [1, 3])
def test_program_engine_gives_the_same_in_batches_of_any_size(case, size, batch):
    network, program, images, expected = case
    chip = virtual_chip(program, size, batch=batch)
    ran = run_engine("program", program, images, chip=chip)
    whole = run_engine("program", program, images)
    assert first_difference(program, expected, ran.values, ("golden", "program")) is None
    np.testing.assert_array_equal(ran.outputs, network.joined(expected))
    assert ran.counters.keys() == whole.counters.keys()
    for node, counters in whole.counters.items():
        # A word for several cores is sent to the host once, and again by the host.
        for name in ("sops", "busy", "fired", "spikes_in"):
            assert ran.counters[node][name] == counters[name], (node, name)
    assert ran.virtual.n_cores == size
    assert ran.virtual.batch == min(batch, len(images))
    assert ran.virtual.n_batches == -(-len(images) // batch)
    assert sum(group.cores for group in ran.virtual.groups) == len(program.cores)
    assert ran.timing is None
    assert {group.cycles for group in ran.virtual.groups} == {None}


@pytest.mark.medium
def test_flits_of_a_group_are_those_of_the_host(case):
    _, program, images, expected = case
    chip = virtual_chip(program, 2)
    ran = run_engine("program", program, images, chip=chip)
    known = {INPUT: images, **expected}
    for group, figures in zip(chip.parts, ran.virtual.groups, strict=True):
        host = Host(group.program)
        sent = np.concatenate([known[name].reshape(len(images), -1) for name in group.inputs], 1)
        sent = sent.reshape(len(images), *group.program.input_shape)
        flits = sum(len(host.sample(image)) + len(host.credits()) for image in sent)
        assert figures.flits_in == pytest.approx(flits / len(images))
        cores = group.program.cores
        starts = sum(len(host.start(core)) for core in cores)
        flits = np.concatenate([host.configuration(core) for core in cores])
        assert figures.load_flits == len(flits) + starts
        assert figures.load_words == len(as_bursts(flits, host.formats)) + starts
        assert set(figures.layers) == {program.cores[core].layer for core in group.cores}


@pytest.mark.medium
def test_progress_counts_images_of_the_whole(case):
    _, program, images, _ = case
    seen = []
    chip = virtual_chip(program, 1, batch=2)
    run_engine("program", program, images, chip=chip, progress=lambda n, cycles: seen.append(n))
    assert seen == sorted(seen)
    assert seen[-1] == len(images)
    assert len(seen) == len(chip.parts) * -(-len(images) // 2)


def test_no_images_give_no_values(case):
    _, program, images, _ = case
    ran = run_engine("program", program, images[:0], chip=virtual_chip(program, 2))
    assert len(ran.outputs) == 0
    assert {len(values) for values in ran.values.values()} == {0}


def test_what_cores_that_take_turns_cannot_do_is_refused(tmp_path):
    program, network = conv_chain_program(1)
    images = np.zeros((1, *program.input.shape), np.int64)
    chip = virtual_chip(program, 1)
    with pytest.raises(ValueError, match=r"^waves: must be left out where cores_on_chip is given"):
        run_engine("verilator", program, images, chip=chip, waves_dir=tmp_path)
    with pytest.raises(ValueError, match=r"^cores_on_chip: engine 'golden' has no cores; leave"):
        run_engine("golden", program, images, chip=chip, network=network)


@pytest.mark.slow
def test_amaranth_runs_cores_in_turn(rng):
    """Everything goes over the mesh here: configuration too, group by group."""
    program, network = dense_program(3)
    images = random_images(rng, network, 2)
    ran = run_engine("amaranth", program, images, chip=virtual_chip(program, 1))
    np.testing.assert_array_equal(ran.outputs, run_network(network, images)[program.output])


def rtl_case(name):
    """A random network whose cores take turns."""
    if name in ("late", "scaled"):
        return stepped_case(name)
    return four_core_case(int(name))


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("name", ["0", "1", "late"])
def test_gateware_equals_golden_and_counts_as_the_memory_images_do(name, size):
    network, program, images = rtl_case(name)
    images = np.concatenate([images, np.zeros_like(images[:1])])
    chip = virtual_chip(program, size, batch=2)
    expected = run_network(network, images, acc_width=program.params.acc_width)
    model = run_engine("program", program, images, chip=chip)
    rtl = run_engine("verilator", program, images, chip=chip, out_dir=engines_folder())
    assert chip_difference(program, expected, rtl, ("golden", "RTL"), model) is None
    np.testing.assert_array_equal(rtl.outputs, expected[program.output])
    assert rtl.virtual.n_batches == -(-len(images) // 2) > 1
    # The clock runs through all loads and groups; an image ends after it has begun.
    loads = sum(group.load_flits for group in rtl.virtual.groups)
    computed = sum(group.cycles for group in rtl.virtual.groups) * len(images)
    assert rtl.timing.total == pytest.approx(rtl.virtual.n_batches * loads + computed)
    assert len(rtl.timing.start) == len(rtl.timing.end) == len(images)
    assert (rtl.timing.start < rtl.timing.end).all()
    assert (np.diff(rtl.timing.end) > 0).all()
    assert rtl.timing.end[-1] <= rtl.timing.total
    for node, counters in rtl.counters.items():
        assert counters["samples"] == len(images), node
