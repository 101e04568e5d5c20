# SPDX-License-Identifier: Apache-2.0
"""Both energy models against counts made up by hand."""

import dataclasses

import pytest

from stemcore.golden.spec.fields import Control, Formats, Memory
from stemcore.runtime.report.energy import (
    MAC_PJ,
    SOP_PJ,
    MemoryModel,
    access_pj,
    add_pj,
    energy_figures,
    energy_text,
)
from tests.support.hand_programs import conv_chain_program

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
