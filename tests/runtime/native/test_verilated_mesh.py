# SPDX-License-Identifier: Apache-2.0
"""The compiled mesh: what is loaded is what stands there; what cannot go on says where."""

import ctypes
import re
import shutil

import numpy as np
import pytest

from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.registers import Control
from stemcore.hdl.export import node_states, node_verilog
from stemcore.runtime.engines.compare import Difference, compare_values, populations_of
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.engines.verilator import Verilator
from stemcore.runtime.errors import EngineError
from stemcore.runtime.host.errors import check, core_errors, first_flit
from stemcore.runtime.host.wave_view import node_signals
from stemcore.runtime.native import verilated_mesh as native_mesh
from stemcore.runtime.native import watchdog
from stemcore.runtime.native.build import build, node_sources
from stemcore.runtime.native.run import _run_samples, record
from stemcore.runtime.native.verilated_mesh import Status, VerilatedMesh
from tests.support.chip_programs import four_core_case
from tests.support.edit_program import with_field, with_memory, with_register
from tests.support.fst_names import fst_names
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import random_images

pytestmark = pytest.mark.sim
OUT = engines()
CONFIGURED = [memory for memory in Memory if memory != Memory.CONTROL]


def opened(program: Program) -> VerilatedMesh:
    return VerilatedMesh(build(program.params, OUT), program)


def contents(mesh, core):
    """Every word of every memory of a core; LOOKUP once for each lane that has a copy."""
    formats, scopes = mesh.formats, mesh._scopes
    found = {}
    for memory in CONFIGURED:
        _, depth = formats.memory(memory)
        for number, scope in enumerate(scopes[memory]):
            mesh._scopes = {**scopes, memory: (scope,)}
            found[memory, number] = mesh.peek(core.x, core.y, memory, depth)
    mesh._scopes = scopes
    return found


def load(mesh, program, over_mesh):
    for core in program.cores:
        if over_mesh:
            mesh.send(mesh.host.configuration(core))
        else:
            mesh.load(core)
    watchdog.settled(mesh)


@pytest.fixture(params=["lookup", "conv_chain", "random"])
def program(request):
    if request.param == "random":
        return four_core_case(1)[1]
    if request.param == "lookup":
        return dense_program(4, lookup=True)[0]
    return conv_chain_program()[0]


def test_loading_over_the_mesh_leaves_the_same_bits(program):
    with opened(program) as direct, opened(program) as written:
        load(direct, program, over_mesh=False)
        load(written, program, over_mesh=True)
        for core in program.cores:
            mine, others = contents(direct, core), contents(written, core)
            for (memory, number), words in mine.items():
                np.testing.assert_array_equal(others[memory, number], words, memory.name)
                image = core.memories.get(memory, words[:0])
                np.testing.assert_array_equal(words[: len(image)], image, memory.name)
                assert not words[len(image) :].any()


@pytest.mark.parametrize("over_mesh", [False, True])
def test_memories_and_registers_are_read_back(program, over_mesh):
    with opened(program) as mesh:
        load(mesh, program, over_mesh)
        for core in program.cores:
            for memory, image in core.memories.items():
                if not image.size:
                    continue
                got = mesh.read(core, memory, 0, image.size)
                assert got == image.ravel().tolist(), (core.x, core.y, memory.name)


@pytest.mark.parametrize("number", range(3))
def test_run_is_the_same_however_the_memories_were_loaded(number):
    network, program, images = four_core_case(number)
    direct, written = (
        run_engine(Verilator(over_mesh=over_mesh), program, images, out_dir=OUT)
        for over_mesh in (False, True)
    )
    np.testing.assert_array_equal(direct.outputs, written.outputs)
    np.testing.assert_array_equal(direct.outputs, run_network(network, images)[program.output])
    assert direct.values.keys() == written.values.keys()
    for name, values in direct.values.items():
        np.testing.assert_array_equal(values, written.values[name], name)
    model = run_engine("program", program, images)
    for node, counters in model.counters.items():
        for result in (direct, written):
            assert {name: result.counters[node][name] for name in counters} == counters
    # Loading by flits is what takes the time of one.
    assert written.notes["load_cycles"] > direct.notes["load_cycles"] > 0


def test_nodes_at_rest_are_not_stepped():
    _, program, images = four_core_case(0)
    result = run_engine("verilator", program, images, out_dir=OUT)
    cycles = result.timing.total + result.notes["load_cycles"]
    assert result.notes["node_cycles"] < cycles * program.columns * program.rows


def test_timing_is_in_order():
    _, program, images = four_core_case(2)
    timing = run_engine("verilator", program, images, out_dir=OUT).timing
    assert len(timing.start) == len(timing.end) == len(images)
    assert (np.diff(timing.start) > 0).all() and (np.diff(timing.end) > 0).all()
    assert (timing.end > timing.start).all()
    ends = [timing.layer_ends[layer.population.name] for layer in program.layers]
    assert all(len(end) == len(images) for end in ends)
    assert (timing.end >= ends[-1]).all()


def test_mesh_that_cannot_move_says_how_far_each_core_came(rng):
    program, network = conv_chain_program(3)
    images = random_images(rng, network, 2)
    sources = int(program.cores[2].memories[Memory.CONTROL][Control.N_SOURCES].item())
    stuck = with_register(program, 2, Control.N_SOURCES, sources + 1)
    message = (
        r"^conv_chain: 2 images must come out, 0 did, and nothing moves any more\n"
        r"  node \(0, 1\) conv: updated 2 samples, ended 1; has 0 of 1 END, 0 "
        r"of 1 CREDIT; 0 spikes "
        r"wait; at rest\n"
        r"  node \(1, 1\) conv: updated 2 samples, ended 1; has 0 of 1 END, 0 of 1 CREDIT; 0 "
        r"spikes wait; at rest\n"
        rf"  node \(0, 2\) dense: updated 0 samples, ended 0; has {sources} of {sources + 1} END, "
        r"1 of 1 CREDIT; 0 spikes wait; at rest\n"
        r"  node \(0, 1\) conv waits: 0 of 1 CREDIT from node \(0, 2\) dense\n"
        r"  node \(1, 1\) conv waits: 0 of 1 CREDIT from node \(0, 2\) dense\n"
        rf"  node \(0, 2\) dense waits: {sources} of {sources + 1} END from node \(0, 1\) conv, "
        r"node \(1, 1\) conv$"
    )
    with pytest.raises(EngineError, match=message):
        run_engine("verilator", stuck, images, out_dir=OUT)


def test_run_beyond_its_limit_says_who_is_at_work(rng):
    program, network = dense_program(3)
    images = random_images(rng, network, 600)
    message = (
        r"^dense: 600 images must come out, \d+ did, and \d+ cycles have passed\n"
        r"  node \(0, 1\) dense: updated \d+ samples, ended \d+; has \d of 1 END, \d of 1 CREDIT; "
        r"\d+ spikes wait; at work$"
    )
    with pytest.raises(EngineError, match=message):
        run_engine(Verilator(cycle_limit=100), program, images, out_dir=OUT)


def test_flipped_weight_bit_is_found_and_named():
    program, network = conv_chain_program(3)
    images = np.full((2, *program.input.shape), 255)
    expected = run_network(network, images)
    weights = program.cores[1].memories[Memory.WEIGHT].copy()
    # The kernel's middle: every neuron of channel 4 uses it.
    weights[6 + 2, 0] ^= 1 << 6
    flipped = with_memory(program, 1, Memory.WEIGHT, weights)
    result = run_engine("verilator", flipped, images, out_dir=OUT)
    message = (
        r"^conv: image 0, neuron \(channel 4, row \d, column \d\), time step \d: golden has [01], "
        r"RTL has [01] \(values \d+ and \d+; \d+ of 32 neurons differ in this image\)$"
    )
    with pytest.raises(Difference, match=message):
        compare_values(populations_of(program), expected, result.values, names=("golden", "RTL"))


def test_core_that_names_a_neuron_outside_its_layer_is_refused():
    program, _ = conv_chain_program(3)
    images = np.full((1, *program.input.shape), 255)
    wrong = with_field(program, 0, Memory.FIRE, 3, y=2)
    message = (
        r"^node \(0, 1\) conv: spikes must name neurons of its population, in time order; \d+ did "
        r"not\. The program or the gateware is wrong: run the engine 'program' to find out$"
    )
    with pytest.raises(EngineError, match=message):
        run_engine("verilator", wrong, images, out_dir=OUT)


def test_memory_beyond_the_node_is_refused():
    program, _ = dense_program()
    _, depth = Formats(program.params).memory(Memory.FIRE)
    message = (
        rf"^node \(0, 1\): FIRE must be a memory of {depth + 1} words or more; "
        r"node\.core\.axon_out\.fire_table is too small: ram; what is compiled does not fit: "
        r"remove it with 'stemcore info --clear-cache' and run again$"
    )
    with opened(program) as mesh:
        with pytest.raises(EngineError, match=message):
            mesh.peek(0, 1, Memory.FIRE, depth + 1)
        mesh._scopes = {**mesh._scopes, Memory.FIRE: ("node.core.nowhere",)}
        with pytest.raises(EngineError, match=r"^node \(0, 1\): FIRE .*has no public ram;"):
            mesh.peek(0, 1, Memory.FIRE, 1)


def test_mesh_that_does_not_come_to_rest_is_refused():
    program, _ = dense_program()
    message = (
        r"^dense: the mesh must come to rest; it did not in 5 cycles\. A memory image or the "
        r"gateware is wrong: run the engine 'program' to find out\n"
        r"  node \(0, 1\) dense: updated 0 samples, .*; at work$"
    )
    with opened(program) as mesh:
        mesh.send(mesh.host.configuration(program.cores[0]))
        with pytest.raises(EngineError, match=message):
            watchdog.settled(mesh, limit=5)


def test_flit_that_leaves_the_mesh_is_told_and_in_nobodys_way(rng):
    program, network = conv_chain_program(3)
    images = random_images(rng, network, 2)
    with opened(program) as mesh:
        load(mesh, program, over_mesh=False)
        payload = mesh.formats.spike.pack(axon=1, t=2, c=3, y=4, x=5)
        stray = mesh.host.flit(Kind.SPIKE, (0, 2, 3, 2), payload)
        mesh.send(np.array([stray] * 200, np.uint64))
        watchdog.settled(mesh)
        alerts = [core_errors(mesh.formats, word) for word in mesh.alerts()]
        told = {errors.node: errors for errors in alerts}
        assert told[1, 1].causes == (Error.OUTSIDE,)
        # What the flits are for inside the mesh gets them, though it has not been started.
        assert told[0, 2].causes == told[1, 2].causes == (Error.SPIKE,)
        assert len(told) == len(alerts) == 3
        message = (
            r"(?s)^conv_chain: cores must see no error .*\n  node \(1, 1\): \d+ errors?: a dest"
        )
        with pytest.raises(EngineError, match=message):
            check(program.name, mesh.formats, mesh.alerts())
        core = next(core for core in program.cores if (core.x, core.y) == (0, 2))
        errors = core_errors(mesh.formats, *mesh.read(core, Memory.CONTROL, Control.ERRORS))
        assert (errors.causes, errors.count) == ((Error.SPIKE,), 200)
        assert first_flit(*mesh.read(core, Memory.CONTROL, Control.ERROR_FLIT_LOW, 2)) == stray
        values, _ = record(mesh, len(images))
        for core in program.cores:
            mesh.send(mesh.host.start(core))
        mesh.prepare_host(images)
        assert mesh.run(samples=2, limit=100_000) is Status.DONE
    expected = run_network(network, images)
    for layer in network.layers:
        low = (1 << layer.bits) - 1
        np.testing.assert_array_equal(values[layer.name], expected[layer.name] & low)


@pytest.mark.parametrize("cycles", [20_000, 200], ids=["one slice", "slices below the patience"])
def test_images_that_wait_for_ever_are_noticed(monkeypatch, rng, cycles):
    monkeypatch.setattr(native_mesh, "PATIENCE", 500)
    monkeypatch.setattr(native_mesh, "SLICE", cycles)
    monkeypatch.setattr(native_mesh, "SLICE_S", 1e-9)  # slices do not grow
    program, network = dense_program(3)
    message = (
        r"^dense: 2 images must come out, 0 did, and something waits, and nothing has moved for "
        r"\d+ cycles\n"
        r"  node \(0, 1\) dense: updated 1 samples, ended 0; has .* at work\n"
        r"  node \(0, 1\) dense waits: leave to go on from the host, which asked to hold spikes$"
    )
    with opened(program) as mesh:
        load(mesh, program, over_mesh=False)
        record(mesh, 2)
        # A destination asks to hold spikes, and never to go on.
        hold = mesh.formats.spike.pack(axon=0, t=1, c=0, y=0, x=0)
        mesh.send(np.array([mesh.host.flit(Kind.PACE, (0, 1, 0, 1), hold)], np.uint64))
        mesh.send(mesh.host.start(program.cores[0]))
        mesh.prepare_host(random_images(rng, network, 2))
        with pytest.raises(EngineError, match=message):
            _run_samples(mesh, 2, None, 2_000_000)


def test_destination_outside_the_mesh_ends_a_run(rng):
    program, network = dense_program(3)
    # Every spike and END goes to a node beyond the mesh.
    words = program.cores[0].memories[Memory.DESTINATION].copy()
    formats = Formats(program.params)
    for index, (word,) in enumerate(words):
        fields = formats.destination.unpack(int(word))
        words[index] = formats.destination.pack(**{**fields, "y0": 3, "y1": 3})
    stray = with_memory(program, 0, Memory.DESTINATION, words)
    message = (
        r"^dense: 2 images must come out, 0 did, and nothing moves any more\n"
        r"  node \(0, 1\): \d+ errors?: a destination outside the mesh, or none\n"
        r"  node \(0, 1\) dense: updated 0 samples, .* at rest$"  # it has had no spike to wait with
    )
    with pytest.raises(EngineError, match=message):
        run_engine("verilator", stray, random_images(rng, network, 2), out_dir=OUT)


def test_slices_change_nothing(monkeypatch, rng):
    program, network = conv_chain_program(3)
    images = random_images(rng, network, 3)
    seen = []
    whole = run_engine("verilator", program, images, out_dir=OUT)
    monkeypatch.setattr(native_mesh, "SLICE", 37)
    monkeypatch.setattr(native_mesh, "SLICE_S", 1e-9)
    cut = run_engine(
        "verilator",
        program,
        images,
        out_dir=OUT,
        progress=lambda done, cycles: seen.append((done, cycles)),
    )
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert cut.counters == whole.counters
    assert cut.timing.total == whole.timing.total
    for name in ("start", "end"):
        np.testing.assert_array_equal(getattr(cut.timing, name), getattr(whole.timing, name))
    np.testing.assert_array_equal(cut.outputs, whole.outputs)


@pytest.mark.long
@pytest.mark.slow
def test_waves_of_chosen_nodes_are_written(tmp_path, rng):
    program, network = conv_chain_program(3)
    images = random_images(rng, network, 1)
    plain = run_engine("verilator", program, images, out_dir=OUT)
    traced = run_engine(
        "verilator", program, images, out_dir=OUT, waves_dir=tmp_path, waves_nodes=[(1, 1)]
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        *("waves-1-1.fst", "waves-1-1.gtkw", "waves", ".surfer")
    }
    view = (tmp_path / "waves-1-1.gtkw").read_text()
    shown = re.findall(r"(?m)^node_1_1\..+$", view)
    states = node_states(program.params)
    assert len(shown) == len(node_signals(program.params, states))
    assert set(shown) <= fst_names(tmp_path / "waves-1-1.fst")
    assert "-node (1, 1) " in view and "waves/kind.txt" in view
    # The model with waves is the gates' form, where `quiet` comes a cycle later: the host begins a
    # cycle later, and all that follows is the same, cycle by cycle.
    np.testing.assert_array_equal(traced.outputs, plain.outputs)
    np.testing.assert_array_equal(traced.timing.start, plain.timing.start + 1)
    np.testing.assert_array_equal(traced.timing.end, plain.timing.end + 1)
    assert traced.timing.total == plain.timing.total + 1
    assert traced.counters == plain.counters


def test_waves_of_a_node_beyond_the_mesh_are_refused(tmp_path):
    program, network = conv_chain_program(3)
    message = r"^waves: a node must lie in columns 0 to 1 and rows 1 to 2, got \(2, 1\)$"
    with pytest.raises(ValueError, match=message):
        run_engine(
            "verilator",
            program,
            np.zeros((1, *program.input.shape)),
            out_dir=OUT,
            waves_dir=tmp_path,
            waves_nodes=[(2, 1)],
        )


def test_libraries_of_one_process_keep_their_clocks_apart(tmp_path):
    library = build(dense_program()[0].params, OUT)
    paths = [library, shutil.copy(library, tmp_path / library.name)]
    clocks = "_ZN4stem4Node7clocks_E"
    tables = [ctypes.c_uint64.in_dll(ctypes.CDLL(str(path)), clocks) for path in paths]
    assert ctypes.addressof(tables[0]) != ctypes.addressof(tables[1])


def test_closed_mesh_may_be_closed_again():
    mesh = opened(dense_program()[0])
    mesh.close()
    mesh.close()


@pytest.mark.slow
def test_compiled_node_is_the_gateware_as_it_stands():
    params = dense_program()[0].params
    assert (node_sources(params, OUT) / "node.v").read_text() == node_verilog(params)
