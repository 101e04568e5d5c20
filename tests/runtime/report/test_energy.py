# SPDX-License-Identifier: Apache-2.0
"""Both energy models against counts made up by hand."""

import dataclasses

import numpy as np
import pytest

from stemcore.compiler.estimation.flows import Flows
from stemcore.golden.network.network import INPUT
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.runtime.report.energy import (
    MAC_PJ,
    PARTS,
    SOP_PJ,
    MemoryModel,
    access_pj,
    add_pj,
    ann_parts,
    energy_figures,
    energy_text,
)
from tests.support.hand_programs import conv_chain_program
from tests.support.stepped_programs import stepped_core_program

ZERO = {
    "sops": 0,
    "busy": 0,
    "spikes_in": 0,
    "spikes_out": 0,
    "samples": 0,
    "hops": 0,
}


@pytest.fixture
def program():
    return conv_chain_program()[0]


def test_additions_follow_the_two_published_widths():
    assert add_pj(8) == pytest.approx(0.03)
    assert add_pj(32) == pytest.approx(0.1)
    assert add_pj(20) == pytest.approx(0.065)


def test_sram_follows_the_published_sizes():
    """64 bits from 8 KB, 32 KB and 1 MB: 10, 20 and about 100 pJ."""
    assert access_pj(64, 1024) == pytest.approx(10)
    assert access_pj(64, 4096) == pytest.approx(20)
    assert access_pj(64, 131072) == pytest.approx(113, abs=1)


def test_every_counter_has_its_part(program):
    model = MemoryModel(Formats(program.params))
    image = program.cores[0]
    assert set(model.core(image, ZERO).values()) == {0.0}
    for counter, parts in {
        "sops": {"adds"},
        "busy": {"weights", "potentials"},
        "spikes_in": {"loop_nests"},
        "spikes_out": {"fire"},
        "samples": {"soma", "fire"},
        "hops": {"network"},
    }.items():
        energy = model.core(image, {**ZERO, counter: 10})
        assert {name for name, pj in energy.items() if pj > 0} == parts
        twice = model.core(image, {**ZERO, counter: 20})
        assert all(twice[name] == pytest.approx(2 * pj) for name, pj in energy.items())


def test_accumulation_reads_weights_and_changes_potentials(program):
    p = program.params
    energy = MemoryModel(Formats(p)).core(program.cores[0], {**ZERO, "busy": 1, "sops": p.lanes})
    assert energy["weights"] == access_pj(8 * p.lanes, p.n_weight_words)
    assert energy["potentials"] == 2 * access_pj(p.acc_width * p.lanes, p.n_acc_words)
    assert energy["adds"] == pytest.approx(p.lanes * add_pj(p.acc_width))


def test_a_core_without_multipliers_multiplies_nothing(program):
    lean = dataclasses.replace(program.params, multipliers=False)
    count = {**ZERO, "samples": 1}
    image = program.cores[0]
    full = MemoryModel(Formats(program.params)).core(image, count)["soma"]
    less = MemoryModel(Formats(lean)).core(image, count)["soma"]
    n = int(image.memories[Memory.CONTROL][Control.N_UPDATE, 0]) * program.params.lanes
    product = 3.1 / 1024 * 16 * program.params.acc_width
    assert full - less == pytest.approx(n * product)


def test_figures_are_per_image_and_over_all_cores(program):
    counters = {(core.x, core.y): {**ZERO, "sops": 100, "hops": 6} for core in program.cores}
    figures = energy_figures(program, counters, 2)
    n = len(program.cores)
    assert figures["energy_pj_per_image"] == pytest.approx(50 * n * SOP_PJ)
    macs = sum(layer.n_macs for layer in program.layers)
    assert figures["ann_energy_pj_per_image"] == pytest.approx(macs * MAC_PJ)
    memory = figures["energy_memory"]
    assert memory["hops"] == 3 * n
    assert memory["pj_per_image"] == pytest.approx(sum(memory["parts"].values()))
    assert memory["parts"]["adds"] == pytest.approx(50 * n * add_pj(program.params.acc_width))


@pytest.mark.parametrize("mode", ["scaled", "late"])
def test_update_passes_of_every_time_step_are_counted(rng, mode):
    """In 16 bits an image takes a pass for each time step, with the potentials beside the sums."""
    _, program = stepped_core_program(rng, mode)
    formats, image = Formats(program.params), program.cores[0]
    soma = MemoryModel(formats).core(image, {**ZERO, "samples": 1})["soma"]
    registers = image.memories[Memory.CONTROL][:, 0]
    steps = int(formats.integration.unpack(int(registers[Control.INTEGRATION]))["steps"])
    p = program.params
    word = access_pj(p.acc_width * p.lanes, p.n_acc_words)
    table = access_pj(formats.word_width(Memory.UPDATE), formats.memory(Memory.UPDATE)[1])
    passes = int(registers[Control.N_UPDATE]) * steps * (4 * word + table)
    assert steps > 1
    assert passes < soma
    # What is left is done once an image: as in a core that integrates exactly.
    exact = MemoryModel(formats).ann_core(image, 0, 0, 0, 0)["soma"]
    wide = access_pj(p.with_integration("exact").acc_width * p.lanes, p.n_acc_words)
    once = exact - int(registers[Control.N_UPDATE]) * (2 * wide + table)
    assert soma - passes <= once


# ---- the ANN on the same memories


def test_the_ann_does_every_product_once(program):
    """By hand: a 3 x 3 kernel on 4 x 4 has 100 taps inside; blocks of 4 lanes; 32 inputs each."""
    p, formats = program.params, Formats(program.params)
    first, second, dense = ann_parts(program)
    mac = 3.1 / 1024 * 64 + add_pj(24)
    weight = access_pj(8 * p.lanes, p.n_weight_words)
    potential = access_pj(24 * p.lanes, p.n_acc_words)
    hop = 8 * 0.1 + 2 * access_pj(8, p.queue_depth)
    for core, operations, macs, hops in (
        (first, 200, 800, 32 + 16 + 16 + 3),  # it stands between the host and all others
        (second, 200, 800, 16),
        (dense, 32, 96, 3),
    ):
        assert core["adds"] == pytest.approx(macs * mac)
        assert core["weights"] == pytest.approx(operations * weight)
        assert core["potentials"] == pytest.approx(operations * 2 * potential)
        assert core["loop_nests"] == pytest.approx(32 * 2 * access_pj(8, p.n_spikes))
        assert core["network"] == pytest.approx(hops * hop)
    assert sum(layer.n_macs for layer in program.layers) == 1600 + 96
    # An update is the same work in both.
    samples = MemoryModel(formats).core(program.cores[0], {**ZERO, "samples": 1})
    assert first["soma"] == pytest.approx(samples["soma"])
    assert first["fire"] < samples["fire"]


def test_the_ann_is_what_one_spike_for_each_activation_would_cost(program):
    """Additions, queues and links apart, whose words differ, both models charge the same."""
    formats = Formats(program.params)
    ones = {INPUT: np.ones((2, 4, 4)), "conv": np.ones((8, 2, 2)), "dense": np.ones((3, 1, 1))}
    loads = Flows(program).loads(ones)
    for i, (image, ann) in enumerate(zip(program.cores, ann_parts(program), strict=True)):
        counters = {**ZERO, "busy": int(loads.received()[i]), "samples": 1}
        spiking = MemoryModel(formats).core(image, counters)
        for part in ("weights", "potentials", "soma"):
            assert ann[part] == pytest.approx(spiking[part])


def test_layers_add_up_to_the_whole(program):
    counters = {
        (core.x, core.y): {**ZERO, "sops": 90 + i, "busy": 40, "spikes_in": 7, "hops": i}
        for i, core in enumerate(program.cores)
    }
    memory = energy_figures(program, counters, 2)["energy_memory"]
    for figures in (memory, memory["ann"]):
        assert list(figures["layers"]) == ["conv", "dense"]
        for part in PARTS:
            total = sum(layer[part] for layer in figures["layers"].values())
            assert figures["parts"][part] == pytest.approx(total)
        assert figures["pj_per_image"] == pytest.approx(sum(figures["parts"].values()))
    ann = memory["ann"]
    assert ann["pj_per_image_in_registers"] == pytest.approx(
        ann["pj_per_image"] - ann["parts"]["potentials"]
    )


def test_samples_that_nobody_counted_are_the_images(program):
    counted = {(c.x, c.y): {**ZERO, "samples": 3} for c in program.cores}
    uncounted = {
        node: {name: n for name, n in c.items() if name != "samples"} for node, c in counted.items()
    }
    assert energy_figures(program, uncounted, 3) == energy_figures(program, counted, 3)


@pytest.mark.parametrize(
    ("picojoules", "text"),
    [
        (0, "0.00 pJ"),
        (999, "999.00 pJ"),
        (8456, "8.46 nJ"),
        (5_373_796, "5.37 µJ"),
        (2e9, "2.00 mJ"),
        (1.45e12, "1.45 J"),
    ],
)
def test_energies_have_a_fitting_unit(picojoules, text):
    assert energy_text(picojoules) == text
