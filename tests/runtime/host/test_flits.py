# SPDX-License-Identifier: Apache-2.0
"""The host's flits, decoded by the bit fields alone."""

from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.arithmetic.stem import count_spikes, decode
from stemcore.golden.program.program import InputRoute
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import RANGES, Control
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.ranges import spike_ranges
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import random_images

PARAMS = get_preset("tiny")
PROGRAMS = {"dense": dense_program, "conv_chain": conv_chain_program}


def unpacked(program, flits):
    """Flits as dictionaries, with ``rectangle`` and a ``kind`` that has a name."""
    layout = Formats(program.params).flit
    fields = [layout.unpack(int(flit)) for flit in flits]
    return [
        {
            "kind": Kind(f["kind"]),
            "payload": f["payload"],
            "rectangle": (f["x0"], f["y0"], f["x1"], f["y1"]),
        }
        for f in fields
    ]


def played_memories(program, flits):
    """What the chunks of every memory are after ADDRESS and WRITE flits, by (memory, word)."""
    formats = Formats(program.params)
    memories, place = {}, None
    for flit in unpacked(program, flits):
        if flit["kind"] == Kind.ADDRESS:
            fields = formats.pointer.unpack(flit["payload"])
            place = Memory(fields["memory"]), fields["address"], fields["chunk"]
            continue
        assert flit["kind"] == Kind.WRITE
        memory, address, chunk = place
        memories.setdefault(memory, {})[address, chunk] = flit["payload"]
        last = chunk + 1 == formats.n_chunks(memory)
        place = (memory, address + 1, 0) if last else (memory, address, chunk + 1)
    return memories


def rebuilt(words):
    """Array (words, chunks) from chunks by place."""
    shape = tuple(1 + max(place[i] for place in words) for i in range(2))
    assert len(words) == shape[0] * shape[1]
    return np.array([[words[w, c] for c in range(shape[1])] for w in range(shape[0])], np.uint32)


@pytest.mark.parametrize("name", PROGRAMS)
def test_configuration_decodes_to_the_memories(name):
    program, _ = PROGRAMS[name](1)
    host = Host(program)
    for core in program.cores:
        flits = host.configuration(core)
        node = (core.x, core.y, core.x, core.y)
        assert {flit["rectangle"] for flit in unpacked(program, flits)} == {node}
        memories = played_memories(program, flits)
        ranges = [memories[Memory.CONTROL].pop((RANGES + n, 0)) for n in range(PARAMS.n_axons)]
        assert ranges == spike_ranges(program)[core.x, core.y]
        used = {memory for memory, words in core.memories.items() if words.size}
        assert memories.keys() == used
        for memory in used:
            np.testing.assert_array_equal(rebuilt(memories[memory]), core.memories[memory])


def test_configuration_leaves_out_what_is_to_be_skipped():
    program, _ = conv_chain_program()
    host, core = Host(program), program.cores[0]
    everything = frozenset(Memory)
    only = host.configuration(core, skip=everything - {Memory.FIRE})
    assert played_memories(program, only).keys() == {Memory.FIRE}
    assert host.configuration(core, skip=everything).tolist() == []


def test_start_is_one_write_of_the_command():
    program, _ = conv_chain_program()
    formats = Formats(program.params)
    for core in program.cores:
        pointer, command = unpacked(program, Host(program).start(core))
        node = (core.x, core.y, core.x, core.y)
        assert pointer["rectangle"] == command["rectangle"] == node
        assert (pointer["kind"], command["kind"]) == (Kind.ADDRESS, Kind.WRITE)
        place = formats.pointer.unpack(pointer["payload"])
        assert place == {"memory": Memory.CONTROL, "chunk": 0, "address": Control.COMMAND}
        fields = formats.command.unpack(command["payload"])
        assert fields == {"start": 1, "clear_counters": 1, "stop": 0, "clear_errors": 0}


def test_reads_go_out_one_by_one_after_one_address():
    program, _ = dense_program()
    requests = Host(program).read(program.cores[0], Memory.WEIGHT, 5, 3)
    kinds = [[flit["kind"] for flit in unpacked(program, request)] for request in requests]
    assert kinds == [[Kind.ADDRESS, Kind.READ], [Kind.READ], [Kind.READ]]
    payload = unpacked(program, requests[0])[0]["payload"]
    place = Formats(program.params).pointer.unpack(payload)
    assert place == {"memory": Memory.WEIGHT, "chunk": 0, "address": 5}


@pytest.mark.parametrize("name", PROGRAMS)
def test_sample_decodes_to_the_image_in_order_of_time_steps(name, rng):
    program, network = PROGRAMS[name](2)
    formats, source = Formats(program.params), program.input
    for image in random_images(rng, network, 3):
        flits = unpacked(program, Host(program).sample(image))
        n_spikes = int(count_spikes(image, source.bits).sum())
        kinds = [flit["kind"] for flit in flits]
        assert kinds == [Kind.SPIKE] * n_spikes + [Kind.END] * len(program.input_end)
        assert [flit["rectangle"] for flit in flits[n_spikes:]] == list(program.input_end)
        train = np.zeros((source.bits, *source.shape), np.int64)
        steps = []
        for flit in flits[:n_spikes]:
            spike = formats.spike.unpack(flit["payload"])
            assert spike["axon"] == program.input_routes[0].axon
            assert flit["rectangle"] == program.input_routes[0].nodes
            train[spike["t"], spike["c"], spike["y"], spike["x"]] += 1
            steps.append(spike["t"])
        assert steps == sorted(steps)
        assert train.max() == 1
        np.testing.assert_array_equal(decode(train, source.is_signed), image)


def test_sample_sends_a_spike_once_for_every_route_that_holds_it(rng):
    program, network = conv_chain_program(2)
    routes = (
        InputRoute((0, 2), (0, 3), (0, 1, 0, 1), 0),
        InputRoute((1, 3), (2, 3), (1, 1, 1, 1), 3),
    )
    program = replace(program, input_routes=routes)
    formats = Formats(program.params)
    image = random_images(rng, network, 1)[0]
    flits = [f for f in unpacked(program, Host(program).sample(image)) if f["kind"] == Kind.SPIKE]
    for route in routes:
        mine = [f for f in flits if f["rectangle"] == route.nodes]
        spikes = [formats.spike.unpack(flit["payload"]) for flit in mine]
        assert {spike["axon"] for spike in spikes} == {route.axon}
        (y0, y1), (x0, x1) = route.rows, route.columns
        assert all(y0 <= s["y"] <= y1 and x0 <= s["x"] <= x1 for s in spikes)
        wanted = count_spikes(image[:, y0 : y1 + 1, x0 : x1 + 1], program.input.bits)
        assert len(spikes) == wanted.sum()
    steps = [formats.spike.unpack(flit["payload"])["t"] for flit in flits]
    assert steps == sorted(steps)


def test_dark_image_is_ends_alone():
    program, _ = conv_chain_program()
    flits = unpacked(program, Host(program).sample(np.zeros(program.input.shape, np.int64)))
    assert [flit["kind"] for flit in flits] == [Kind.END]


def test_credits_go_to_the_output_cores():
    program, _ = conv_chain_program()
    flits = unpacked(program, Host(program).credits())
    assert [flit["kind"] for flit in flits] == [Kind.CREDIT]
    assert [flit["rectangle"] for flit in flits] == [(0, 2, 0, 2)]


def test_flits_wider_than_64_bits_are_refused():
    program, _ = dense_program()
    program = replace(program, params=program.params.with_(coord_width=8))
    message = r"^dense: a flit must fit 64 bits, got 67; choose narrower coordinates in the preset$"
    with pytest.raises(ValueError, match=message):
        Host(program)


def test_image_beyond_the_inputs_range_is_refused():
    program, _ = conv_chain_program()
    image = np.full(program.input.shape, 256)
    with pytest.raises(ValueError, match=r"^encode: values must lie in 0\.\.255.*256"):
        Host(program).sample(image)
