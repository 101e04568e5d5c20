# SPDX-License-Identifier: Apache-2.0
"""Stages run in order, start and stop anywhere, and always end with the same bytes."""

import numpy as np
import pytest
from torch import nn

from stemcore.compiler.errors import CompatibilityError, CompileError, QuantizeError
from stemcore.compiler.frontend.graph import Graph
from stemcore.compiler.pipeline import (
    PIPELINE,
    STAGES,
    Compilation,
    Stage,
    compile_network,
    reads_of,
    run_stages,
)
from stemcore.compiler.records import load_record, record_bytes, save_record
from stemcore.compiler.stages import (
    Inputs,
    Options,
    affordable,
    calibration_count,
    check_buffered,
    check_capture,
    check_network,
)
from stemcore.golden.network.network import Network
from stemcore.golden.program.program_file import save_program
from stemcore.golden.spec.presets import get_preset
from tests.support.torch_nets import Residual, chain

TINY = get_preset("tiny")


def network():
    """Small, with everything that stages are about: a skip, pooling, a clamp."""
    return chain(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU6(), Residual(4, 4), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 3),
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def begin():
    rng = np.random.default_rng(5)
    images = rng.integers(-127, 128, (20, 1, 8, 8)).astype(np.int8)
    options = Options(input_shape=(1, 8, 8), params=TINY, tables={"input": "rot1"})
    return Compilation(options, Inputs(network(), images))


@pytest.fixture(scope="module")
def done(begin):
    return run_stages(begin)


def result_bytes(compilation, folder):
    """Every result as it lies in a file."""
    found = {}
    for stage in PIPELINE:
        result = compilation.result(stage.name)
        if stage.name == "assemble":
            save_program(result, folder)
            found[stage.name] = b"".join(
                (folder / name).read_bytes() for name in ("program.json", "memories.npz")
            )
        else:
            found[stage.name] = record_bytes(stage.kind, result)
    return found


def test_stages_are_those_of_the_documents():
    assert STAGES == (
        "capture", "check", "quantize", "tables", "lower", "split", "skip_buffers", "prove",
        "integrate", "activity", "map", "assemble",
    )  # fmt: skip


def test_what_a_stage_reads_is_what_its_function_names():
    stages = {stage.name: stage for stage in PIPELINE}
    assert reads_of(stages["capture"]).inputs == ("module",)
    # Where names meet, a result of an earlier stage wins over an option.
    assert reads_of(stages["tables"]).options == ("tables",)
    assert reads_of(stages["lower"]).results == ("quantize", "tables")
    assert reads_of(stages["map"]).options == ("params", "mesh", "cores")
    with pytest.raises(AssertionError, match=r"^split: reads \{'nonsense'\}, which nothing before"):
        reads_of(Stage("split", "network", object, lambda nonsense: None))


@pytest.mark.medium
@pytest.mark.parametrize("number", range(len(STAGES)))
def test_stopped_anywhere_and_gone_on_it_is_the_same(number, begin, done, tmp_path):
    name = STAGES[number]
    half = run_stages(begin, stop=name)
    assert tuple(half.results) == STAGES[: number + 1]
    whole = run_stages(half)
    assert result_bytes(whole, tmp_path / "a") == result_bytes(done, tmp_path / "b")


@pytest.mark.parametrize("name", STAGES)
def test_started_anywhere_it_is_the_same(name, done, tmp_path):
    again = run_stages(done, start=name)
    for stage in STAGES[: STAGES.index(name)]:
        assert again.results[stage] is done.results[stage]
    assert again.results[name] is not done.results[name] or name in ("split", "integrate")
    assert result_bytes(again, tmp_path / "a") == result_bytes(done, tmp_path / "b")


def test_one_stage_alone(done):
    alone = run_stages(done, start="split", stop="split")
    assert tuple(alone.results) == STAGES[: STAGES.index("split") + 1]


def test_nothing_is_left_to_do(done):
    assert run_stages(done) is done
    assert run_stages(done, stop="lower") is done


@pytest.mark.parametrize("what", ["start", "stop"])
def test_unknown_stages_are_refused(what, begin):
    with pytest.raises(
        CompileError, match=rf"^{what}: must be a stage, got 'relay'; the stages are capture, check"
    ):
        run_stages(begin, **{what: "relay"})


def test_impossible_starts_are_refused(begin, done):
    with pytest.raises(CompileError, match=r"^start: must not come after stop=lower, got split$"):
        run_stages(done, start="split", stop="lower")
    with pytest.raises(
        CompileError,
        match=r"^start=map: the stages before it must have results, quantize has none; start there",
    ):
        run_stages(run_stages(begin, stop="check"), start="map")
    with pytest.raises(
        CompileError, match=r"^prove: this stage must have run, the stages that did"
    ):
        _ = begin.ranges


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"name": "other"}, "capture"),
        ({"bits": 6}, "check"),
        ({"weight_bits": {"*": 6}}, "check"),
        ({"profile": "general"}, "check"),
        ({"bias": "fraction16"}, "check"),
        ({"calibration_method": "max"}, "check"),
        ({"tables": "rot1"}, "tables"),
        ({"params": TINY.with_(n_destinations=64)}, "split"),
        ({"with_skip_buffers": False}, "skip_buffers"),
        ({"integration": "late"}, "integrate"),
        ({"mesh": (4, 3)}, "map"),
        ({"cores": 7}, "map"),
    ],
)
def test_a_changed_option_drops_what_depends_on_it(changes, first, done):
    changed = done.with_options(**changes)
    kept = [name for name in STAGES if name in changed.results]
    number = STAGES.index(first)
    assert set(STAGES[:number]) <= set(kept)
    assert first not in kept
    assert "assemble" not in kept
    assert all(changed.results[name] is done.results[name] for name in kept)


def test_unchanged_options_drop_nothing(done):
    assert dict(done.with_options(mesh=None, bits=8).results) == dict(done.results)
    with pytest.raises(CompileError, match=r"^options: must be of name, .*, got colour$"):
        done.with_options(colour="red")


def test_ranges_do_not_hang_on_the_mesh(done):
    """A stage that comes later and reads nothing that changed keeps its result."""
    changed = done.with_options(tables={"input": "rot2"})
    assert set(changed.results) == {"capture", "check", "quantize"}
    changed = done.with_inputs(activity_images=done.inputs.calibration[:3])
    assert set(STAGES) - set(changed.results) == {"activity", "map", "assemble"}


@pytest.mark.medium
@pytest.mark.parametrize("mode", ["scaled", "scaled_shift", "late"])
def test_integration_in_steps_goes_through_the_pipeline(begin, tmp_path, mode):
    options = {"params": TINY.with_integration(mode.removesuffix("_shift")), "integration": mode}
    done = run_stages(begin.with_options(**options))
    assert done.program.params.integration == mode.removesuffix("_shift")
    save_record(tmp_path / "n.npz", "network", done.network)
    again = load_record(tmp_path / "n.npz", "network", Network, check_network)
    assert [layer.neuron for layer in again.layers] == [la.neuron for la in done.network.layers]
    assert record_bytes("network", again) == record_bytes("network", done.network)
    assert done.network is not done.result("skip_buffers")
    assert done.exact_width == 24
    again = run_stages(done, start="integrate")
    assert result_bytes(again, tmp_path / "a") == result_bytes(done, tmp_path / "b")


def test_program_is_that_of_the_network_alone(done, tmp_path):
    """Map and assemble in one call."""
    program = compile_network(done.network, TINY, activity=done.activity)
    for name, one in (("a", program), ("b", done.program)):
        save_program(one, tmp_path / name)
    for file in ("program.json", "memories.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_views_of_the_results(done):
    assert isinstance(done.graph, Graph)
    assert done.n_macs == 4 * 9 * 64 + 2 * 4 * 4 * 9 * 64 + 64 * 3
    assert done.input_table is not None
    assert done.ranges.acc_width == done.exact_width == TINY.acc_width
    # The input's table is the host's, not the network's.
    assert all(layer.table is None for layer in done.quantized.layers)
    assert done.quantized_model.network is done.quantized
    assert done.with_options(name="x").options.name == "x"


def test_missing_inputs_are_named():
    options = Options(input_shape=(1, 8, 8), params=TINY)
    with pytest.raises(CompileError, match=r"^capture: must have a model, got none; pass a module"):
        run_stages(Compilation(options, Inputs()))
    with pytest.raises(
        QuantizeError, match=r"^calibration: must have images, got none; pass calib"
    ):
        run_stages(Compilation(options, Inputs(network())))


def test_incompatible_layers_stop_the_stage_check():
    module = chain(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.Flatten()).eval()
    images = np.zeros((2, 1, 8, 8), np.int8)
    begin = Compilation(Options(input_shape=(1, 8, 8)), Inputs(module, images))
    assert set(run_stages(begin, stop="capture").results) == {"capture"}
    with pytest.raises(CompatibilityError, match=r"use batch norm"):
        run_stages(begin, stop="check")


def test_checks_find_what_stages_must_not_leave(done):
    network = done.result("lower")
    with pytest.raises(ValueError, match=r"must come before it$"):
        check_network(type(network)("n", network.input, network.layers[::-1], {}))
    with pytest.raises(ValueError, match=r": must be the only layer of that name$"):
        check_network(type(network)("n", network.input, (network.layers[0],) * 2, {}))
    with pytest.raises(ValueError, match=r"^n: must have a layer, has none$"):
        check_network(type(network)("n", network.input, (), {}))
    with pytest.raises(ValueError, match=r", several stages back$"):
        check_buffered(network, None)
    check_buffered(network, False)
    check_buffered(done.network, None)
    graph = done.graph
    with pytest.raises(AssertionError, match=r"operand comes later"):
        check_capture(Graph(graph.name, graph.input_shape, graph.nodes[::-1], graph.output))


def test_large_networks_use_fewer_images():
    assert calibration_count(1_000) == 512
    assert calibration_count(10**12) == 16
    assert affordable(32, 60e9, 0, 2) == 32
