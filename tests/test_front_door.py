# SPDX-License-Identifier: Apache-2.0
"""The package as its users call it: compile, estimate, run, save, load, export, report."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.compiler.errors import CaptureError, CompileError, FormatError
from stemcore.compiler.lowering.integrate import modes
from stemcore.compiler.pipeline import STAGES
from stemcore.golden.program.program_file import save_program
from stemcore.golden.spec.fields import Memory
from stemcore.runtime.engines.compare import Difference
from stemcore.runtime.engines.engine import ProgramEngine
from stemcore.runtime.engines.result import RunResult
from stemcore.runtime.engines.run import run_engine


class Own(nn.Module):
    """Somebody's network: nothing of it is known to the project."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classes = nn.Linear(6 * 4 * 4, 5)

    def forward(self, x):
        return self.classes(self.features(x).flatten(1))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(3)
    return Own().eval()


@pytest.fixture(scope="module")
def compiled(module, images):
    return stemcore.compile(module, calibration=images, input="signed", preset="tiny")


def float_inputs(images):
    """What a float network sees of bytes."""
    return torch.from_numpy(np.clip(images.astype(np.float32) - 128, -127, 127) / 128)


@pytest.mark.sim
@pytest.mark.slow
def test_own_module_in_ten_lines(module, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compiled = stemcore.compile(module, calibration=images, input="signed")
    text = str(compiled.estimate())
    result = compiled.run(images[:3], engine="rtl")
    compiled.save("net/")
    again = stemcore.load("net/").run(images[:3])
    compiled.verilog("out/")
    result.report("report.html")

    assert text.startswith("Own: ")
    assert result.bit_exact
    assert again.bit_exact
    np.testing.assert_array_equal(again.integers, result.integers)
    assert again.timing.total == result.timing.total
    assert (tmp_path / "out" / "chip.v").is_file()
    assert "every spike equal" in (tmp_path / "report.html").read_text()


def test_the_package_loads_at_once_and_without_torch():
    code = (
        "import sys, time; begin = time.perf_counter(); import stemcore; "
        "print(time.perf_counter() - begin, 'torch' in sys.modules, dir(stemcore))"
    )
    seconds, has_torch, names = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split(maxsplit=2)
    assert float(seconds) < 0.2
    assert has_torch == "False"
    assert "'compile'" in names
    assert "'load'" in names


def test_unknown_names_are_no_attributes():
    with pytest.raises(AttributeError, match=r"^module 'stemcore' has no attribute 'kompile'$"):
        _ = stemcore.kompile


@pytest.mark.medium
def test_saved_network_runs_without_torch(compiled, images, tmp_path):
    folder = compiled.save(tmp_path / "net")
    np.save(tmp_path / "images.npy", images[:2])
    code = (
        "import sys, numpy, stemcore; "
        f"net = stemcore.load({str(folder)!r}); "
        f"result = net.run(numpy.load({str(tmp_path / 'images.npy')!r}), engine='program'); "
        "print('torch' in sys.modules, result.bit_exact, *result.integers.ravel())"
    )
    has_torch, bit_exact, *integers = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert (has_torch, bit_exact) == ("False", "True")
    expected = compiled.run(images[:2], engine="program").integers.ravel()
    assert [int(value) for value in integers] == expected.tolist()


@pytest.mark.parametrize("engine", ["golden", "program"])
def test_result_says_what_came_out(compiled, module, images, engine):
    result = compiled.run(images, engine=engine)
    assert result.engine == engine
    assert result.bit_exact is {"golden": None, "program": True}[engine]
    assert result.integers.shape == (24, 5, 1, 1)
    network = compiled.network
    np.testing.assert_array_equal(
        result.outputs, result.integers * network.scales[network.output.name]
    )
    with torch.no_grad():
        floats = module(float_inputs(images)).numpy()
    # Eight bits hold the logits to a few of their steps.
    step = network.scales[network.output.name]
    np.testing.assert_allclose(result.outputs[:, :, 0, 0], floats, atol=6 * step)
    assert (result.predictions == floats.argmax(axis=1)).mean() > 0.8
    np.testing.assert_array_equal(result.predictions, result.integers[:, :, 0, 0].argmax(axis=1))
    bits = np.bitwise_count((result.images & 255).astype(np.uint8)).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(result.spikes["input"], bits)
    assert list(result.spikes) == ["input", *(layer.name for layer in network.layers)]
    assert (result.counters is None) == (engine == "golden")
    assert result.timing is None
    assert repr(result).startswith(f"<Result of 24 images on '{engine}': every spike ")


@pytest.mark.sim
@pytest.mark.slow
def test_engines_agree_to_the_spike(compiled, images):
    engines = ("golden", "program", "amaranth")
    runs = [compiled.run(images[:2], engine=engine) for engine in engines]
    for run in runs[1:]:
        assert run.bit_exact
        np.testing.assert_array_equal(run.integers, runs[0].integers)
    assert runs[2].timing is not None


def test_kinds_of_images_are_the_same_images(compiled, images):
    expected = compiled.run(images, engine="golden").integers
    floats = float_inputs(images)
    for same in (floats, floats.numpy(), floats.double(), floats.half(), (floats * 128).int()):
        np.testing.assert_array_equal(compiled.run(same, engine="golden").integers, expected)


def test_images_of_another_shape_are_refused(compiled):
    with pytest.raises(ValueError, match=r"^images: must have shape \(N, 1, 8, 8\) with N of 1 or"):
        compiled.run(np.zeros((2, 1, 9, 8), np.uint8), engine="golden")


def test_unknown_engine_is_refused(compiled, images):
    with pytest.raises(ValueError, match=r"^engine: must be one of .*verilator.*; got 'rlt'$"):
        compiled.run(images, engine="rlt")


def wrong_engine(monkeypatch):
    """Makes the program engine flip one output."""

    def run_engine(engine, program, images, **options):
        from stemcore.runtime.engines.run import run_engine

        right = run_engine(engine, program, images, **options)
        values = {name: array.copy() for name, array in right.values.items()}
        values[program.output][1, 2] ^= 1
        return RunResult("program", values[program.output], values, right.counters)

    monkeypatch.setattr("stemcore.runtime.compiled.run_engine", run_engine)


@pytest.mark.medium
def test_a_difference_is_raised_or_in_the_result(compiled, images, monkeypatch, tmp_path):
    wrong_engine(monkeypatch)
    with pytest.raises(Difference, match=r"^classes: image 1, neuron \(channel 2, row 0, column 0"):
        compiled.run(images, engine="program")
    result = compiled.run(images, engine="program", strict=False)
    assert result.bit_exact is False
    assert result.difference.startswith("classes: image 1, neuron (channel 2")
    assert "DIFFERENT" in repr(result)
    assert "classes: image 1, neuron (channel 2" in (
        result.report(tmp_path / "page.html").read_text()
    )


def test_estimate_is_counted_and_prints(compiled, images):
    estimate = compiled.estimate()
    program = compiled.program
    assert estimate.n_cores == len(program.cores)
    assert estimate.mesh == (program.columns, program.rows)
    assert estimate.neurons == 6 * 64 + 5
    assert estimate.parameters == 6 * 9 + 6 + 6 * 16 * 5 + 5
    # Expected spikes are those of the calibration images: so are the counts of a run on them.
    result = compiled.run(images, engine="program")
    sops = sum(c["sops"] for c in result.counters.values()) / len(images)
    assert estimate.sops == pytest.approx(sops)
    spikes = sum(counts.mean() for name, counts in result.spikes.items() if name != "input")
    assert estimate.spikes == pytest.approx(spikes)
    weights = sum(core.memories[Memory.WEIGHT].size for core in program.cores)
    assert estimate.memories[Memory.WEIGHT].used_bits == 32 * weights
    assert estimate.energy_pj == pytest.approx(sum(row.energy_pj for row in estimate.layers))
    assert estimate.sops == pytest.approx(sum(row.sops for row in estimate.layers))
    assert estimate.interval > 0
    assert estimate.latency > 0
    lines = str(estimate).splitlines()
    assert lines[0].startswith("Own: 389 neurons, 545 parameters, ")
    assert [line.split()[0] for line in lines[-2:]] == [row.name for row in estimate.layers]


@pytest.mark.medium
def test_cores_in_turn_give_the_same_and_say_what_it_costs(compiled, images, tmp_path):
    whole = compiled.run(images, engine="program")
    result = compiled.run(images, engine="program", cores_on_chip=1)
    assert result.bit_exact
    np.testing.assert_array_equal(result.integers, whole.integers)
    n_cores = len(compiled.program.cores)
    assert [group.cores for group in result.ran.virtual.groups] == [1] * n_cores
    page = result.report(tmp_path / "page.html").read_text()
    assert "1 core at a time on 1 x 1 nodes" in page
    rows = re.findall(r'<section id="groups">.*?</section>', page, re.DOTALL)[0].split("<tr>")[2:]
    for row, group in zip(rows, result.ran.virtual.groups, strict=True):
        cells = re.findall(r"<td>(.*?)</td>", row)
        figures = (group.cores, group.load_flits, None, group.flits_in, group.flits_out)
        assert cells[:5] == ["–" if f is None else f"{f:,.0f}" for f in figures]
        assert cells[5] == group.layers[0]
    plain = whole.report(tmp_path / "page.html").read_text()
    assert "1 core at a time" not in plain
    assert 'id="groups"' not in plain
    with pytest.raises(ValueError, match=r"^cores_on_chip: engine 'golden' has no cores; leave"):
        compiled.run(images, engine="golden", cores_on_chip=1)
    with pytest.raises(CompileError, match=r"a chip must have 1 core or more, got 0"):
        compiled.run(images, engine="program", cores_on_chip=0)


class Blind(ProgramEngine):
    """A chip that nobody sees into, as a board is: outputs and counters."""

    name = "blind"
    summary = "outputs and counters alone"
    spoiled = 0

    def run(self, program, images, *, options):
        ran = run_engine("program", program, images)
        counters = {node: dict(counts) for node, counts in ran.counters.items()}
        next(iter(counters.values()))["sops"] += self.spoiled
        values = {name: ran.values[name] for name in program.output_layers}
        return replace(ran, engine=self.name, values=values, counters=counters, only_outputs=True)


@pytest.mark.medium
def test_counters_of_cores_in_turn_are_compared_where_nothing_else_is_seen(
    compiled, images, monkeypatch
):
    """Spikes to the host count there where cores take turns, and not where all are present."""
    monkeypatch.setattr("stemcore.runtime.compiled.get_engine", lambda name: Blind())
    result = compiled.run(images, engine="blind", cores_on_chip=1)
    assert result.bit_exact
    assert set(result.values) == set(compiled.program.output_layers)
    monkeypatch.setattr(Blind, "spoiled", 1)
    with pytest.raises(Difference, match=r"counter sops must be \d+ as in engine 'program', got"):
        compiled.run(images, engine="blind", cores_on_chip=1)


def test_estimate_of_cores_in_turn_shows_load_compute_and_transfer(compiled):
    all_there, estimate = compiled.estimate(), compiled.estimate(cores_on_chip=1)
    assert all_there.virtual is None
    times = estimate.virtual.times
    assert estimate.interval == pytest.approx(
        times.load / estimate.virtual.chip.batch
        + times.interval
        + sum(group.latency - group.interval for group in times.groups)
        / estimate.virtual.chip.batch
    )
    assert estimate.interval > all_there.interval
    assert estimate.latency == times.of_batch(1) > times.load
    lines = str(estimate).splitlines()
    assert {"in turn", "load", "compute", "transfer"} <= {line[:12].strip() for line in lines}
    table = lines[-len(times.groups) :]
    assert [line.split()[0] for line in table] == [str(n) for n in range(len(times.groups))]
    assert [line.split()[2] for line in table] == [f"{group.load:,}" for group in times.groups]
    assert "in turn" not in str(all_there)


@pytest.mark.medium
def test_options_reach_the_compiler(module, images):
    compiled = stemcore.compile(
        module,
        calibration=images,
        input="signed",
        name="mine",
        preset="tiny",
        mesh=(3, 2),
        cores=5,
        profile="general",
        bits=5,
        bias="fraction16",
        tables="rot1",
        integration="late",
        activity=images[:4],
    )
    assert compiled.program.name == "mine"
    assert (compiled.program.columns, compiled.program.rows) == (3, 2)
    assert len(compiled.program.cores) <= 5
    assert compiled.program.params.integration == "late"
    first = compiled.compilation.quantized.layers[0]
    assert (first.bits, first.table is not None) == (5, True)
    assert compiled.compilation.quantized.profile == "general"
    assert re.fullmatch(r"16 bits, \d+ of them fraction", first.bias_format)
    assert compiled.run(images[:3], engine="program").bit_exact


@pytest.mark.medium
def test_input_table_is_the_hosts(module, images):
    plain = stemcore.compile(module, calibration=images, input="signed", preset="tiny")
    table = stemcore.compile(
        module, calibration=images, input="signed", preset="tiny", tables={"input": "rot4"}
    )
    fired = table.integers(images)
    assert not (fired % 16).any()
    spikes = [c.run(images, engine="golden").spikes["input"].sum() for c in (plain, table)]
    assert spikes[1] < spikes[0]
    assert table.run(images[:2], engine="program").bit_exact


def test_stopped_compilation_goes_on(module, images, compiled, tmp_path):
    half = stemcore.compile(module, calibration=images, input="signed", preset="tiny", stop="lower")
    assert repr(half) == "<Compiled 'Own': up to lower>"
    with pytest.raises(CompileError, match=r"^assemble: this stage must have run, the stages that"):
        half.estimate()
    whole = half.compile()
    for name, one in (("a", whole), ("b", compiled)):
        save_program(one.program, tmp_path / name)
    for file in ("program.json", "memories.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_unknown_stage_is_refused(module, images):
    with pytest.raises(
        CompileError, match=r"^stop: must be a stage, got 'place'; the stages are c"
    ):
        stemcore.compile(module, calibration=images, input="signed", stop="place")


def test_other_options_keep_what_they_do_not_touch(compiled):
    other = compiled.compile(mesh=(4, 2))
    assert (other.program.columns, other.program.rows) == (4, 2)
    for name in STAGES[: STAGES.index("map")]:
        assert other.compilation.results[name] is compiled.compilation.results[name]
    with pytest.raises(CompileError, match=r"^options: must be of name, .*, got mash$"):
        compiled.compile(mash=(4, 2))


def test_unknown_integration_is_told_all_modes(module, images):
    message = rf"^integration: must be one of {', '.join(modes())}, got 'lat'$"
    with pytest.raises(ValueError, match=message):
        stemcore.compile(module, calibration=images, input="signed", integration="lat")


def test_module_in_training_mode_is_refused(images):
    with pytest.raises(CaptureError, match=r"must be in evaluation mode.*call \.eval\(\) first$"):
        stemcore.compile(Own(), calibration=images, input="signed")


def test_what_is_no_model_is_refused(images):
    with pytest.raises(CaptureError, match=r"^capture: a model must be .*, got int; pass the mod"):
        stemcore.compile(3, calibration=images, input="signed")


def test_load_refuses_what_is_no_compilation(tmp_path):
    with pytest.raises(FormatError, match=r"manifest\.json: must be the manifest of a compilation"):
        stemcore.load(tmp_path)


def test_save_does_not_write_over_something_else(compiled, tmp_path):
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(FormatError, match=r"must be new, empty, or a compilation; holds 'thesis"):
        compiled.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_results_are_written(compiled, images, tmp_path):
    result = compiled.run(images, engine="program")
    with np.load(result.save(tmp_path / "deep" / "results.npz"), allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["integers"], result.integers)
        np.testing.assert_array_equal(stored["outputs"], result.outputs)
        np.testing.assert_array_equal(stored["predictions"], result.predictions)
        np.testing.assert_array_equal(stored["spikes.input"], result.spikes["input"])
    page = result.report(tmp_path / "page.html", labels=result.predictions).read_text()
    assert "100.00 %" in page
    assert "report.json" not in page
    with pytest.raises(ValueError, match=r"^labels: must be integers of shape \(24,\); .* came$"):
        result.accuracy(np.zeros(3, int))


def test_sequences_and_vectors_are_inputs_too(rng):
    torch.manual_seed(1)
    vectors = rng.uniform(-0.9, 0.9, (40, 12)).astype(np.float32)
    net = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    compiled = stemcore.compile(net, calibration=vectors, preset="tiny")
    assert compiled.network.input.shape == (12, 1, 1)
    assert compiled.run(vectors, engine="program").integers.shape == (40, 3, 1, 1)


def test_inputs_are_tried_by_commands_alone(module, images):
    with pytest.raises(
        ValueError, match=r"^input: 'auto' is tried on uint8 bytes .* classes, got "
    ):
        stemcore.compile(module, calibration=images, input="auto")


@pytest.mark.medium
def test_a_stated_input_goes_with_the_saved_network(module, images, tmp_path):
    asked = stemcore.compile(
        module, calibration=images, input=(-1, 1), preset="tiny", stop="integrate"
    )
    module.input_range = "unit"
    try:
        said = stemcore.compile(module, calibration=images, preset="tiny", stop="integrate")
    finally:
        del module.input_range
    np.testing.assert_array_equal(said.integers(images), images)
    floats = images.astype(np.float32) / 255
    np.testing.assert_array_equal(said.integers(floats), images)
    again = stemcore.load(asked.save(tmp_path / "net"))
    np.testing.assert_array_equal(again.integers(images), asked.integers(images))
    assert asked.integers(images).min() == -127
