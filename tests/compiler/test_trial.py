# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a chip is known before any image is read."""

import pytest
import torch
from torch import nn

from stemcore.compiler.errors import (
    CompatibilityError,
    CompileError,
    PartitionError,
    larger_presets,
)
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.compiler.pipeline import Compilation, Inputs, Options, run_stages
from stemcore.compiler.trial import CrowdedError, Fit, find_fit
from stemcore.golden.spec.presets import PRESETS
from tests.support.torch_nets import chain


def captured(module, shape, preset="sim32", **options) -> Compilation:
    options = Options(input_shape=shape, params=PRESETS[preset], **options)
    return run_stages(Compilation(options, Inputs(module.eval())), stop="check")


def try_fit(compilation: Compilation):
    """Why the network does not fit the chip that was asked for."""
    return find_fit(compilation, larger=False).problem


SMALL = nn.Conv2d(1, 2, 3), (1, 6, 6)
# Its fan-in is split in parts whose sums exceed the accumulators of sim32.
WIDE = chain(nn.Flatten(), nn.Linear(3 * 64 * 64, 4)), (3, 64, 64)
HUGE = nn.Conv2d(1, 1, 3), (1, 3000, 8)


def test_a_network_that_fits_keeps_its_chip():
    assert try_fit(captured(*SMALL)) is None
    assert find_fit(captured(*SMALL), larger=True) == Fit()


@pytest.mark.medium
def test_the_first_larger_preset_that_holds_the_network_is_chosen():
    fit = find_fit(captured(*WIDE), larger=True)
    name, problem = fit.preset, fit.problem
    assert name == "large"
    assert isinstance(problem, PartitionError)
    assert "must be at most 24, is 25" in str(problem)
    assert try_fit(captured(*WIDE, preset="large")) is None
    assert str(try_fit(captured(*WIDE))) == str(problem)


LONG = nn.Conv1d(1, 2, 80, stride=16), (1, 16000)
LARGE_IMAGE = nn.Conv2d(1, 2, 5, stride=4), (1, 480, 640)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("network", "chosen"), [(LONG, "sim32_sequence"), (LARGE_IMAGE, "sim32_maps")]
)
def test_coordinates_beyond_a_byte_find_a_preset(network, chosen):
    fit = find_fit(captured(*network), larger=True)
    name, problem = fit.preset, fit.problem
    assert name == chosen
    assert "a packet tells 256 columns apart" in str(problem)
    assert f"such as {chosen}" in str(problem)


def test_a_chosen_preset_integrates_as_the_options_say():
    late = PRESETS["sim32"].with_integration("late")
    assert {p.integration for p in larger_presets(late).values()} == {"late"}
    assert set(larger_presets(late)) == set(larger_presets(PRESETS["sim32"]))
    assert set(larger_presets(PRESETS["large"])) == {"large_concat", "large_maps"}
    assert not larger_presets(PRESETS["large"], "c_width")


def test_a_network_that_no_preset_holds_is_refused_without_advice_that_none_can_follow():
    fit = find_fit(captured(*HUGE), larger=True)
    name, problem = fit.preset, fit.problem
    assert name == ""
    assert isinstance(problem, CompatibilityError)
    assert (
        "input: a packet tells 256 rows apart, the layer has 3000; make the layer smaller: "
        in str(problem)
    )
    assert "choose a preset" not in str(problem)


@pytest.mark.medium
def test_cores_and_mesh_are_part_of_the_question():
    module, shape = chain(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1)), (1, 4, 4)
    assert try_fit(captured(module, shape, cores=2)) is None
    problem = try_fit(captured(module, shape, cores=1))
    assert isinstance(problem, PartitionError)
    assert "needs at least 2 cores" in str(problem)
    wider = find_fit(captured(module, shape, mesh=(1, 1)), larger=True)
    assert (wider.preset, wider.fits) == ("", False)
    assert isinstance(wider.problem, PartitionError)


def test_a_wider_preset_than_the_default_serves_from_python(caplog):
    import stemcore

    module, shape = WIDE
    images = [[[[row % 7 + column % 5 for column in range(64)] for row in range(64)]] * 3]
    with caplog.at_level("WARNING"):
        compiled = stemcore.compile(module.eval(), calibration=images, input="u8")
    assert compiled.compilation.options.params == PRESETS["large"]
    assert caplog.text.count("preset large: sim32 does not hold the network") == 1
    with pytest.raises(PartitionError, match="must be at most 24, is 25"):
        stemcore.compile(module.eval(), calibration=images, input="u8", preset="sim32")


class DenselyConnected(nn.Module):
    """``n`` layers in a row, and one that reads the concatenation of all of them."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(1, 1, 1) for _ in range(n))
        self.last = nn.Conv2d(n, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = []
        for layer in self.layers:
            x = torch.relu(layer(x))
            read.append(x)
        return self.last(torch.cat(read, dim=1))


LARGE_MESH = PRESETS["tiny"].with_(n_axons=16)  # of 56 cores at most


@pytest.mark.medium
def test_more_layers_than_a_mesh_has_cores_are_refused_before_quantization(monkeypatch):
    def run_none(*arguments, **options):
        raise AssertionError("no stage may run")

    compilation = captured(DenselyConnected(60), (1, 4, 4)).with_options(params=LARGE_MESH)
    monkeypatch.setattr("stemcore.compiler.trial.run_stages", run_none)
    monkeypatch.setattr("stemcore.compiler.trial.larger_presets", lambda params: {})
    fit = find_fit(compilation, larger=True)
    assert (fit.preset, fit.fits) == ("", False)
    assert isinstance(fit.problem, PartitionError)
    assert "needs at least 61 cores" in str(fit.problem)
    assert ": 61 for layers; the largest mesh has 56" in str(fit.problem)
    assert str(try_fit(compilation)) == str(fit.problem)


@pytest.mark.medium
def test_a_network_that_fits_without_skip_buffers_alone_does_without():
    compilation = captured(DenselyConnected(12), (1, 4, 4)).with_options(params=LARGE_MESH)
    fit = find_fit(compilation, larger=False)
    assert (fit.preset, fit.skip_buffers, fit.fits) == ("", False, True)
    # 12 and 1 layers; the first of them is passed on 11 stages, the next 10.
    for text in ("at least 79 cores", ": 13 for layers, 66 for stages", "11 of these by layers"):
        assert text in str(fit.problem)
    with_them = find_fit(compilation.with_options(with_skip_buffers=True), larger=False)
    assert (with_them.fits, str(with_them.problem)) == (False, str(fit.problem))
    without = find_fit(compilation.with_options(with_skip_buffers=False), larger=False)
    assert without == Fit(skip_buffers=False)


@pytest.mark.medium
def test_larger_presets_come_before_leaving_skip_buffers_out(monkeypatch):
    others = {"larger": LARGE_MESH.with_(coord_width=4)}
    monkeypatch.setattr("stemcore.compiler.trial.larger_presets", lambda params: others)
    compilation = captured(DenselyConnected(12), (1, 4, 4)).with_options(params=LARGE_MESH)
    fit = find_fit(compilation, larger=True)
    assert (fit.preset, fit.skip_buffers, fit.fits) == ("larger", None, True)


@pytest.mark.medium
def test_skip_buffers_stay_where_tokens_are_exchanged_at_every_time_step():
    compilation = captured(DenselyConnected(12), (1, 4, 4))
    late = compilation.with_options(params=LARGE_MESH.with_integration("late"), integration="late")
    assert not find_fit(late, larger=False).fits
    with pytest.raises(CompileError, match=r"^skip_buffers: must be all with integration late"):
        find_fit(late.with_options(with_skip_buffers=False), larger=False)


@pytest.mark.medium
def test_layers_are_counted_as_they_will_be_placed():
    compilation = captured(DenselyConnected(5), (1, 4, 4), preset="tiny")
    lowered = run_stages(
        compilation.with_inputs(calibration=torch.ones(2, 1, 4, 4).int().numpy()), stop="lower"
    )
    n_placed = len(buffer_skips(lowered.exact).layers)
    assert n_placed == 16
    small = compilation.with_options(params=LARGE_MESH.with_(coord_width=2))
    fit = find_fit(small, larger=False)
    assert fit.skip_buffers is False
    assert f"needs at least {n_placed} cores" in str(fit.problem)


SMALL_MESH = PRESETS["tiny"].with_(coord_width=2)  # of 12 cores at most
FULL = nn.Conv2d(1, 8, 3, padding=1), (1, 18, 18)


@pytest.mark.parametrize(
    ("others", "name", "is_refused"),
    [
        ({"crowded": SMALL_MESH, "roomy": PRESETS["tiny"]}, "roomy", True),
        ({"crowded": SMALL_MESH}, "", False),
        ({"none": SMALL_MESH.with_(n_acc_words=16)}, "", False),
    ],
)
def test_a_preset_with_room_is_looked_for_where_a_network_fills_the_mesh(
    monkeypatch, others, name, is_refused
):
    monkeypatch.setattr("stemcore.compiler.trial.larger_presets", lambda params: others)
    compilation = captured(*FULL).with_options(params=SMALL_MESH)
    fit = find_fit(compilation, larger=True)
    found, problem = fit.preset, fit.problem
    assert found == name
    assert (problem is not None) == is_refused
    if problem is not None:
        assert "needs at least 11 cores, the largest mesh has 12; so full a mesh" in str(problem)
    assert try_fit(compilation) is None  # a chip that was asked for is tried as it is


def test_the_first_preset_that_holds_a_network_is_taken_where_all_are_crowded(monkeypatch):
    others = {"small": SMALL_MESH.with_(n_acc_words=16), "full": SMALL_MESH}
    monkeypatch.setattr("stemcore.compiler.trial.larger_presets", lambda params: others)
    compilation = captured(*FULL).with_options(params=SMALL_MESH.with_(n_acc_words=16))
    fit = find_fit(compilation, larger=True)
    name, problem = fit.preset, fit.problem
    assert name == "full"
    assert not isinstance(problem, CrowdedError)
