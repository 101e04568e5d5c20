# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""A neuron model is its three files: one that the project does not have, through all rooms."""

from dataclasses import replace
from itertools import product
from math import floor

import numpy as np
import pytest

from stemcore.compiler.errors import RangeError
from stemcore.compiler.lowering.integrate import describe, integrate, modes
from stemcore.compiler.lowering.neurons import LOWERINGS
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.forward import Forward
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.golden.reference.event_engine import run_events
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.neurons import MODELS
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.timing import update_cycles
from stemcore.hdl.core.axon_in import AxonIn
from stemcore.hdl.core.core import Core
from stemcore.hdl.core.neurons import SOMAS, make_soma
from stemcore.hdl.core.soma_signature import SomaKind
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.host.flits import Host
from tests.support import halved_neuron
from tests.support.plain_network import plain_potentials
from tests.support.player import Player
from tests.support.random_networks import random_images, random_network
from tests.support.streams import simulate


@pytest.fixture
def params(monkeypatch):
    """A chip of such cores: what a file in each of the three folders would do."""
    for registry, entry in (
        (MODELS, halved_neuron.MODEL),
        (LOWERINGS, halved_neuron.LOWERING),
        (SOMAS, halved_neuron.SOMA),
    ):
        monkeypatch.setitem(registry, entry.name, entry)
    return get_preset("tiny").with_integration("halved")


def network_of(rng):
    """A small network of such neurons."""
    for _ in range(50):
        made = random_network(rng, bits=5, n_layers=2, max_channels=5, max_size=4)
        exact = buffer_skips(made)
        try:
            return integrate(exact, "halved", random_images(rng, exact, 4))
        except RangeError:
            continue
    raise AssertionError("50 random networks have potentials beyond 17 bits")


def plain_halved(network, layer, values):
    """The equation, synapse by synapse and step by step."""
    v = np.zeros(layer.shape, np.int64)
    for t in range(5):
        planes = {}
        for name in {c.source for c in layer.connections}:
            source, x = network.population(name), values[name]
            spikes = (x >> (4 - t)) & 1
            planes[name] = -spikes if source.is_signed and t == 0 else spikes
        i = plain_potentials(network, layer, planes)
        for at in product(*map(range, layer.shape)):
            total = (0 if t == 0 else 2 * v[at]) + floor(i[at] / 2)
            v[at] = min(max(total, -(1 << 15)), (1 << 15) - 1)
    return v


@pytest.mark.slow
def test_a_neuron_model_of_ones_own_runs_in_every_room(params, tmp_path, rng):
    assert modes()["halved"] == "halved"
    network = network_of(rng)
    assert all(line.split(": ")[1].startswith("halves; ") for line in describe(network))
    images = random_images(rng, network, 2)
    values, potentials = Forward(network, acc_width=16).run_with_potentials(images)
    for n in range(len(images)):
        of_image = {name: array[n] for name, array in values.items()}
        for layer in network.layers:
            wanted = plain_halved(network, layer, of_image)
            np.testing.assert_array_equal(potentials[layer.name][n], wanted, err_msg=layer.name)

    save_program(compile_network(network, params), tmp_path)
    program = load_program(tmp_path)
    assert program.params == params
    in_numpy = run_program(program, images)
    for name, got in in_numpy.values.items():
        np.testing.assert_array_equal(got, values[name], err_msg=name)
    literal = run_events(program, images[0], order=rng)
    np.testing.assert_array_equal(literal.outputs, values[program.output][0])

    rtl = run_engine("amaranth", program, images)
    np.testing.assert_array_equal(rtl.outputs, values[program.output])


@pytest.mark.slow
def test_its_soma_takes_the_cycles_that_the_estimate_counts(params, rng):
    made = network_of(rng)
    network = replace(made, layers=made.layers[:1])
    program = compile_network(network, params, columns=1, rows=1)
    images = random_images(rng, network, 2)
    core, host = program.cores[0], Host(program)
    n_registers = Control.FLAGS - Control.SOPS_LOW + 1
    reads = host.read(core, Memory.CONTROL, Control.SOPS_LOW, n_registers)
    dut = Core(params=params)
    player = Player(program, images, dut.i, dut.o, reads=reads, rng=rng)
    simulate(dut, [player], limit=40_000)
    counters = player.protocol.replies
    n_update = int(core.memories[Memory.CONTROL][Control.N_UPDATE, 0])
    cycles = len(images) * network.input.bits * update_cycles(params, n_update)
    assert counters[Control.UPDATE_CYCLES - Control.SOPS_LOW] == cycles
    assert counters[0] == run_program(program, images).counters["sops"].sum()


def test_a_model_without_a_soma_is_refused(params, monkeypatch):
    monkeypatch.delitem(SOMAS, "halved")
    message = r"^ChipParams\.integration: no soma for the neuron model 'halved'; there are exact, "
    with pytest.raises(ValueError, match=message):
        make_soma(params)


def test_a_soma_of_other_ports_is_refused(params, monkeypatch):
    monkeypatch.setitem(SOMAS, "halved", SomaKind("halved", lambda params: AxonIn(params)))
    with pytest.raises(TypeError, match=r"^AxonIn: must have the ports of SomaSignature, "):
        make_soma(params)
