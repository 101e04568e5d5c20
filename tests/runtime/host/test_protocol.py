# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.network.network import Population
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.routing import HOST
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.protocol import (
    Protocol,
    Recorder,
    core_recorders,
)
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import random_images
from tests.support.stepped_programs import stepped_core_program


@pytest.fixture
def case(rng):
    """Program of two input credits, and three images."""
    program, network = conv_chain_program(1)
    return program, random_images(rng, network, 3)


def flit(program, kind, payload=0):
    layout = Formats(program.params).flit
    x, y = HOST
    return layout.pack(kind=int(kind), x0=x, y0=y, x1=x, y1=y, payload=payload)


def spike(program, t, c, y=0, x=0):
    payload = Formats(program.params).spike.pack(axon=0, t=t, c=c, y=y, x=x)
    return flit(program, Kind.SPIKE, payload)


def drained(protocol):
    """Everything that is offered, one flit taken after the other, until nothing is."""
    flits = []
    while (offered := protocol.offer()) is not None:
        flits.append(offered)
        protocol.taken()
    return flits


def test_configuration_comes_first_then_starts_then_the_first_credits(case):
    program, images = case
    host = Host(program)
    wanted = [f for core in program.cores for f in host.configuration(core).tolist()]
    wanted += [f for core in program.cores for f in host.start(core).tolist()]
    assert drained(Protocol(program, images)) == wanted + host.credits().tolist()


def test_sample_waits_for_all_its_credits(case):
    program, images = case
    assert program.input_credits == 2
    protocol, host = Protocol(program, images), Host(program)
    drained(protocol)
    protocol.receive(flit(program, Kind.CREDIT))
    assert protocol.offer() is None
    protocol.receive(flit(program, Kind.CREDIT))
    assert drained(protocol) == host.sample(images[0]).tolist()
    # Credits for two samples at once let both go, one after the other.
    for _ in range(4):
        protocol.receive(flit(program, Kind.CREDIT))
    assert drained(protocol) == [f for image in images[1:] for f in host.sample(image).tolist()]
    for _ in range(4):
        protocol.receive(flit(program, Kind.CREDIT))
    assert protocol.offer() is None


def test_offered_flit_stays_until_it_is_taken(case):
    program, images = case
    protocol = Protocol(program, images)
    drained(protocol)
    for _ in range(2):
        protocol.receive(flit(program, Kind.CREDIT))
    sample = Host(program).sample(images[0]).tolist()
    assert protocol.offer() == sample[0]
    # Nothing that happens meanwhile goes ahead of it: neither flits of ours, nor tokens.
    protocol.send([1, 2])
    protocol.receive(flit(program, Kind.END))
    assert [protocol.offer() for _ in range(3)] == [sample[0]] * 3
    protocol.taken()
    credits = Host(program).credits().tolist()
    assert drained(protocol) == [1, 2, *credits, *sample[1:]]


def test_end_of_the_output_completes_a_sample_and_grants_the_next(case):
    program, images = case
    protocol = Protocol(program, images)
    drained(protocol)
    for n in range(1, 4):
        protocol.receive(flit(program, Kind.END))
        assert protocol.samples_done == n
        assert drained(protocol) == Host(program).credits().tolist()


def test_answers_are_collected_and_change_nothing_else(case):
    program, images = case
    protocol = Protocol(program, images)
    drained(protocol)
    for value in (7, 0xFFFFFFFF, 0):
        protocol.receive(flit(program, Kind.DATA, value))
    assert protocol.replies == [7, 0xFFFFFFFF, 0]
    assert protocol.offer() is None
    assert protocol.samples_done == 0
    assert not protocol.output.values.any()


def test_outputs_are_put_together_from_spikes(case):
    program, images = case
    protocol = Protocol(program, images)  # dense: signed, 8 bits
    for t, c in ((0, 2), (7, 2), (3, 1)):
        protocol.receive(spike(program, t, c))
    protocol.receive(flit(program, Kind.END))
    protocol.receive(spike(program, 7, 0))
    protocol.receive(flit(program, Kind.END))
    assert protocol.output.values[0].ravel().tolist() == [0, 16, -127]
    assert protocol.output.values[1].ravel().tolist() == [1, 0, 0]


def test_recorder_counts_a_spike_to_several_destinations_once():
    program, _ = dense_program()
    population = Population("p", (6, 1, 1), 5, True)
    recorder = Recorder(Formats(program.params), [population], 2, ends_per_sample=3)
    for _ in range(3):
        recorder.see(spike(program, 0, 4))
        recorder.see(spike(program, 4, 4))
    done = [recorder.see(flit(program, Kind.END)) for _ in range(3)]
    assert done == [False, False, True]
    assert recorder.sample == 1
    assert recorder.values[0, :, 0, 0].tolist() == [0, 0, 0, 0, -15, 0]
    assert not recorder.see(flit(program, Kind.CREDIT))
    assert not recorder.see(flit(program, Kind.DATA))


def test_cores_of_one_layer_write_into_one_array(case):
    program, _ = case
    recorders = core_recorders(program, 2)
    assert recorders.keys() == {(0, 1), (1, 1), (0, 2)}
    assert recorders[0, 1].values is recorders[1, 1].values
    assert recorders[0, 2].values.shape == (2, 3, 1, 1)
    recorders[1, 1].see(spike(program, 7, 5, 1, 1))
    assert recorders[0, 1].values[0, 5, 1, 1] == 1
    assert np.sum(recorders[0, 1].values) == 1


def test_axons_tell_the_host_which_layer_fires():
    program, _ = dense_program()
    populations = [Population("a", (2, 2, 1), 5, False), Population("b", (3, 1, 1), 8, True)]
    recorder = Recorder(Formats(program.params), populations, 1, ends_per_sample=2)
    assert recorder.values.shape == (1, 7, 1, 1)
    layout = Formats(program.params).spike
    for axon, t, c, y in ((0, 0, 1, 1), (1, 0, 2, 0), (1, 7, 0, 0)):
        payload = layout.pack(axon=axon, t=t, c=c, y=y, x=0)
        recorder.see(flit(program, Kind.SPIKE, payload))
    assert recorder.values.ravel().tolist() == [0, 0, 0, 16, 1, 0, -128]
    for axon, c in ((2, 0), (0, 2)):
        odd = flit(program, Kind.SPIKE, layout.pack(axon=axon, t=0, c=c, y=0, x=0))
        with pytest.raises(ValueError, match=r"^host: a spike must be of a neuron"):
            recorder.see(odd)


# Tokens per time step ---------------------------------------------------------------------------
@pytest.fixture
def stepped(rng):
    network, program = stepped_core_program(rng, "late")
    return program, random_images(rng, network, 2)


def test_every_time_step_waits_for_its_own_credits(stepped):
    program, images = stepped
    protocol, host = Protocol(program, images), Host(program)
    drained(protocol)
    for image in images:
        parts = host.parts(image)
        assert len(parts) == program.input.bits
        for part in parts:
            assert protocol.offer() is None
            protocol.receive(flit(program, Kind.CREDIT))
            assert drained(protocol) == part.tolist()
            assert part[-1] == host.flit(Kind.END, program.input_end[0])
    protocol.receive(flit(program, Kind.CREDIT))
    assert protocol.offer() is None


def test_every_time_step_of_the_output_is_granted_and_the_last_completes(stepped):
    program, images = stepped
    protocol = Protocol(program, images)
    drained(protocol)
    (output,) = program.output_populations
    bits = output.bits
    assert program.tokens_per_sample(output) == bits
    for n in range(1, 2 * bits + 1):
        protocol.receive(flit(program, Kind.END))
        assert protocol.samples_done == n // bits
        assert drained(protocol) == Host(program).credits().tolist()
