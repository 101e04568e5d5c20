# SPDX-License-Identifier: Apache-2.0
"""Whether a network fits a chip is known before any image is read."""

import pytest
import torch
from torch import nn

from stemcore.compiler.errors import CompatibilityError, PartitionError, larger_presets
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.compiler.pipeline import Compilation, Inputs, Options, run_stages
from stemcore.compiler.trial import CrowdedError, choose_preset, try_fit
from stemcore.golden.spec.presets import PRESETS
from tests.support.torch_nets import chain


def captured(module, shape, preset="sim32", **options) -> Compilation:
    options = Options(input_shape=shape, params=PRESETS[preset], **options)
    return run_stages(Compilation(options, Inputs(module.eval())), stop="check")


SMALL = nn.Conv2d(1, 2, 3), (1, 6, 6)
# Its fan-in is split in parts whose sums exceed the accumulators of sim32.
WIDE = chain(nn.Flatten(), nn.Linear(3 * 64 * 64, 4)), (3, 64, 64)
HUGE = nn.Conv2d(1, 1, 3), (1, 3000, 8)


def test_a_network_that_fits_keeps_its_chip():
    assert try_fit(captured(*SMALL)) is None
    assert choose_preset(captured(*SMALL)) == ("", None)


def test_the_first_larger_preset_that_holds_the_network_is_chosen():
    name, problem = choose_preset(captured(*WIDE))
    assert name == "large"
    assert isinstance(problem, PartitionError)
    assert "must be at most 24, is 25" in str(problem)
    assert try_fit(captured(*WIDE, preset="large")) is None
    assert str(try_fit(captured(*WIDE))) == str(problem)


LONG = nn.Conv1d(1, 2, 80, stride=16), (1, 16000)
LARGE_IMAGE = nn.Conv2d(1, 2, 5, stride=4), (1, 480, 640)


@pytest.mark.parametrize(
    ("network", "chosen"), [(LONG, "sim32_sequence"), (LARGE_IMAGE, "sim32_maps")]
)
def test_coordinates_beyond_a_byte_find_a_preset(network, chosen):
    name, problem = choose_preset(captured(*network))
    assert name == chosen
    assert "a packet tells 256 columns apart" in str(problem)
    assert f"such as {chosen}" in str(problem)


def test_a_chosen_preset_integrates_as_the_options_say():
    late = PRESETS["sim32"].with_integration("late")
    assert {p.integration for p in larger_presets(late).values()} == {"late"}
    assert set(larger_presets(late)) == set(larger_presets(PRESETS["sim32"]))
    assert set(larger_presets(PRESETS["large"])) == {"large_maps"}
    assert not larger_presets(PRESETS["large"], "c_width")


def test_a_network_that_no_preset_holds_is_refused_without_advice_that_none_can_follow():
    name, problem = choose_preset(captured(*HUGE))
    assert name == ""
    assert isinstance(problem, CompatibilityError)
    assert (
        "input: a packet tells 256 rows apart, the layer has 3000; make the layer smaller: "
        in str(problem)
    )
    assert "choose a preset" not in str(problem)


def test_cores_and_mesh_are_part_of_the_question():
    module, shape = chain(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 1)), (1, 4, 4)
    assert try_fit(captured(module, shape, cores=2)) is None
    problem = try_fit(captured(module, shape, cores=1))
    assert isinstance(problem, PartitionError)
    assert "needs at least 2 cores" in str(problem)
    wider = choose_preset(captured(module, shape, mesh=(1, 1)))
    assert wider[0] == ""
    assert isinstance(wider[1], PartitionError)


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


def test_a_concatenation_that_takes_more_cores_than_a_mesh_has_is_refused_before_quantization(
    monkeypatch,
):
    def run_none(*arguments, **options):
        raise AssertionError("no stage may run")

    compilation = captured(DenselyConnected(45), (1, 4, 4))
    monkeypatch.setattr("stemcore.compiler.trial.run_stages", run_none)
    name, problem = choose_preset(compilation)
    assert name == ""
    assert isinstance(problem, PartitionError)
    # 45 and 1 layers; the first of them is passed on 44 stages, the next 43.
    for text in ("needs at least 1036 cores", ": 46 for layers, 990 for", "44 of these by layers"):
        assert text in str(problem)
    assert "the largest mesh has 992" in str(problem)
    assert str(try_fit(compilation)) == str(problem)


def test_layers_are_counted_as_they_will_be_placed():
    compilation = captured(DenselyConnected(5), (1, 4, 4), preset="tiny")
    lowered = run_stages(
        compilation.with_inputs(calibration=torch.ones(2, 1, 4, 4).int().numpy()), stop="lower"
    )
    n_placed = len(buffer_skips(lowered.exact).layers)
    assert n_placed == 16
    small = compilation.with_options(params=PRESETS["tiny"].with_(coord_width=2))
    assert f"needs at least {n_placed} cores" in str(try_fit(small))


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
    found, problem = choose_preset(compilation)
    assert found == name
    assert (problem is not None) == is_refused
    if problem is not None:
        assert "needs at least 11 cores, the largest mesh has 12; so full a mesh" in str(problem)
    assert try_fit(compilation) is None  # a chip that was asked for is tried as it is


def test_the_first_preset_that_holds_a_network_is_taken_where_all_are_crowded(monkeypatch):
    others = {"small": SMALL_MESH.with_(n_acc_words=16), "full": SMALL_MESH}
    monkeypatch.setattr("stemcore.compiler.trial.larger_presets", lambda params: others)
    compilation = captured(*FULL).with_options(params=SMALL_MESH.with_(n_acc_words=16))
    name, problem = choose_preset(compilation)
    assert name == "full"
    assert not isinstance(problem, CrowdedError)
