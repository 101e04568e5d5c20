# SPDX-License-Identifier: Apache-2.0
"""Networks with several inputs through the front door: torch = golden = program = gateware."""

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.compiler.errors import CaptureError, CompileError
from stemcore.compiler.frontend.capture import capture
from stemcore.compiler.frontend.passes import form_layers
from stemcore.compiler.frontend.run_graph import run_graph
from stemcore.compiler.input_map import parse_input
from stemcore.compiler.input_parts import make_parts, pack, packed_shape, unpack, with_one_sign
from stemcore.models.data.array_file import load_inputs
from stemcore.models.errors import DataError
from stemcore.runtime.engines.compare import first_difference
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.own_model import load_own_model
from stemcore.runtime.prepare import prepare
from stemcore.runtime.report.fidelity import measure_fidelity
from stemcore.runtime.settings import Settings
from tests.support.several_nets import branches


def images_for(module, n, rng):
    return {
        name: rng.uniform(-1, 1, (n, *sizes)).astype(np.float32) * np.float32(127 / 128)
        for name, sizes in module.input_sizes.items()
    }


def compiled(seed, rng, **options):
    module = branches(seed)
    images = images_for(module, 24, rng)
    return module, images, stemcore.compile(module, calibration=images, **options)


def in_torch(net, result):
    """Integers of all layers, of the quantized network in torch."""
    values = net.compilation.quantized_model(torch.from_numpy(result.images))
    return {name: tensor.numpy().astype(np.int64) for name, tensor in values.items()}


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(8))
def test_random_branches_are_torch_s_in_golden_and_program(seed, rng):
    module, images, net = compiled(seed, rng)
    result = net.run({name: array[:3] for name, array in images.items()}, engine="program")
    assert result.bit_exact
    exact = net.compilation.exact
    assert (
        first_difference(exact, in_torch(net, result), result.golden, ("torch", "golden")) is None
    )
    with torch.no_grad():
        wanted = module(**{name: torch.from_numpy(array[:3]) for name, array in images.items()})
    several = wanted if module.has_two else (wanted,)
    found = result.final if module.has_two else (result.final,)
    for got, want in zip(found, several, strict=True):
        error = np.abs(got.reshape(want.shape) - want.numpy()).max()
        assert error < 0.05 * max(float(want.abs().max()), 0.5)


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(6))
def test_layers_read_an_input_s_own_channels_and_positions(seed, rng):
    module = branches(seed)
    graph = capture(module, module.input_sizes)
    formed = form_layers(graph)
    images = images_for(module, 3, rng)
    packed = torch.from_numpy(pack(list(images.values()), graph.parts))
    with torch.no_grad():
        wanted = module(**{name: torch.from_numpy(array) for name, array in images.items()})
    first = wanted[0] if module.has_two else wanted
    for stage in (graph, formed):
        torch.testing.assert_close(
            run_graph(stage, packed)[stage.output].flatten(1), first, rtol=1e-4, atol=1e-5
        )
    spans = {part.channels for part in graph.parts}
    read = [b for node in formed.nodes for b in node.op.branches if b.source == "input"]
    assert {branch.channels for branch in read} == spans
    # What lies beyond an input's own channels and positions reaches nothing.
    disturbed = packed.clone()
    for part in graph.parts:
        disturbed[:, slice(*part.channels), part.shape[1] :] = 9
        disturbed[:, slice(*part.channels), :, part.shape[2] :] = 9
    torch.testing.assert_close(
        run_graph(formed, disturbed)[formed.output].flatten(1), first, rtol=1e-4, atol=1e-5
    )


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "integration"),
    [
        (0, "exact"),
        (3, "exact"),
        (5, "exact"),
        pytest.param(1, "late", marks=pytest.mark.long),
    ],
)
def test_random_branches_run_exactly_on_the_gateware(seed, integration, rng):
    _, images, net = compiled(seed, rng, integration=integration)
    few = {name: array[:3] for name, array in images.items()}
    for array in few.values():
        array[0] = 0  # an image without a spike
    result = net.run(few, engine="rtl")
    assert result.bit_exact
    model = run_engine("program", net.program, net.integers(few))
    assert {node: c["sops"] for node, c in result.counters.items()} == {
        node: c["sops"] for node, c in model.counters.items()
    }


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 4, 3), nn.Linear(3, 2)

    def forward(self, image, state):
        return self.a(image).mean((2, 3)), self.b(state)


IMAGE = np.random.default_rng(1).integers(0, 256, (16, 1, 6, 6)).astype(np.uint8)
STATE = np.random.default_rng(2).uniform(-2, 2, (16, 3)).astype(np.float32)


def two(**options):
    return stemcore.compile(Two().eval(), calibration=(IMAGE, STATE), **options)


@pytest.mark.medium
def test_each_input_has_a_meaning_of_its_own(caplog):
    net = two(input={"image": "unit", "state": (-2, 2)})
    assert "input image: unit has no sign and another input has one" in caplog.text
    codes = net.integers((IMAGE, STATE))
    assert codes.shape == (16, 4, 6, 6)
    np.testing.assert_array_equal(codes[:, 0], np.rint(IMAGE[:, 0] / 255 * 127))
    np.testing.assert_array_equal(codes[:, 1:, 0, 0], np.rint(STATE.astype(float) * 127 / 2))
    assert not codes[:, 1:, 1:].any()
    assert not codes[:, 1:, :, 1:].any()
    np.testing.assert_array_equal(net.integers({"state": STATE, "image": IMAGE}), codes)
    np.testing.assert_array_equal(net.integers(codes), codes)  # as the host fires them
    same = two(input="image=unit; state=-2..2")
    np.testing.assert_array_equal(same.integers((IMAGE, STATE)), codes)


def test_maps_without_a_sign_keep_all_bits_among_themselves():
    maps = parse_input("unit"), parse_input("u8")
    assert with_one_sign(maps) == maps
    signed = with_one_sign((parse_input("unit"), parse_input("-1..1")))
    assert [found.limits for found in signed] == [(-127, 127)] * 2
    codes = signed[0].codes_of_bytes(np.array([[0, 128, 255]], np.uint8))
    assert codes.tolist() == [[0, 64, 127]]


@pytest.mark.medium
def test_saved_network_takes_the_same_inputs(tmp_path):
    net = two(input={"image": "unit", "state": (-2, 2)})
    again = stemcore.load(net.save(tmp_path / "net"))
    one, other = (n.run((IMAGE[:2], STATE[:2]), engine="golden") for n in (net, again))
    for a, b in zip(one.final, other.final, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("images", "message"),
    [
        ((IMAGE,), r"^images: must be a tuple with an array for each of 2 inputs, or a dict by"),
        ({"image": IMAGE}, r"^images: must have an array for each input, image, state; image came"),
        (IMAGE, r"^images: must be a tuple .* \(image, state\); ndarray came"),
        ((IMAGE[:2], STATE), r"^images: every input must have as many images; image 2, state 16"),
        ((STATE, IMAGE), r"^images image: must have shape \(N, 1, 6, 6\)"),
        ((IMAGE, 9 * STATE), r"^images state: floats must lie in -2\.\.2"),
    ],
)
def test_images_that_do_not_fit_the_inputs_are_refused(images, message):
    net = two(input={"image": "unit", "state": (-2, 2)})
    with pytest.raises((ValueError, CompileError), match=message):
        net.integers(images)


def test_unused_input_is_taken_and_never_fired():
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.b = nn.Linear(3, 2)

        def forward(self, image, state):
            return self.b(state)

    net = stemcore.compile(Unused().eval(), calibration=(IMAGE, STATE), input=(-2, 2))
    result = net.run((IMAGE[:2], STATE[:2]), engine="program")
    assert result.bit_exact
    assert [route.rows for route in net.program.input_routes] == [(0, 0)]
    assert [route.columns for route in net.program.input_routes] == [(0, 0)]


def test_an_input_is_no_output():
    class Passes(Two):
        def forward(self, image, state):
            return self.a(image), state.view(-1, 3, 1)

    with pytest.raises(CaptureError, match=r"^capture: the output 1 must be computed .* itself; l"):
        capture(Passes().eval(), ((1, 6, 6), (3,)))


def test_inputs_that_leave_most_of_the_array_empty_are_refused():
    parts = make_parts([("a", (3, 9, 9), (3, 9, 9)), ("b", (5,), (5, 1, 1))])
    assert packed_shape(parts) == (8, 9, 9)
    a, b = np.ones((2, 3, 9, 9)), np.full((2, 5), 2.0)
    for got, want in zip(unpack(pack([a, b], parts), parts), (a, b), strict=True):
        np.testing.assert_array_equal(got, want)
    with pytest.raises(CompileError, match=r"^inputs: together they take .* reshape long vectors"):
        make_parts([("a", (3, 224, 224), (3, 224, 224)), ("b", (1000,), (1000, 1, 1))])


def test_what_is_no_tensor_is_refused():
    class Flag(nn.Module):
        def forward(self, x, n):
            return x * n

    program = torch.export.export(Flag(), (torch.zeros(2, 3), 2.0))
    with pytest.raises(CaptureError, match=r"^capture: the network must take tensors alone, takes"):
        capture(program)


CODE = """
import torch
from torch import nn

class Net(nn.Module):
    input_shape = {"image": (1, 6, 6), "state": (3,)}
    input_range = {"image": "unit", "state": (-2, 2)}

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(1, 4, 3), nn.Linear(3, 2)

    def forward(self, image, state):
        return self.a(image).mean((2, 3)), self.b(state)
"""


def arrays(**changes):
    found = {f"x_{split}.image": IMAGE for split in ("train", "test")}
    found |= {f"x_{split}.state": STATE for split in ("train", "test")}
    return {**found, **changes}


def prepared(tmp_path, **changes):
    (tmp_path / "net.py").write_text(CODE)
    np.savez(tmp_path / "own.npz", **arrays(**changes))
    settings = Settings(model=f"{tmp_path / 'net.py'}:Net", dataset=str(tmp_path / "own.npz"))
    return prepare(settings, n_train=16, n_test=4)


@pytest.mark.medium
def test_run_takes_an_array_for_each_input_from_a_file(tmp_path):
    found = prepared(tmp_path)
    net = two(input={"image": "unit", "state": (-2, 2)})
    np.testing.assert_array_equal(found.integers, net.integers((IMAGE[:4], STATE[:4])))
    outputs = measure_fidelity(found)["outputs"]
    assert [output["name"] for output in outputs] == ["0", "1"]
    assert all(output["sqnr_db"] > 20 for output in outputs)


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"x_train: must be uint8, bytes of pictures, or floats"):
        prepared(tmp_path, **{"x_train.image": IMAGE.astype(np.int64)})
    np.savez(tmp_path / "own.npz", **arrays(**{"x_test.state": STATE[:3]}))
    match = r"every input must have as many samples; image \(16, 16\), state \(16, 3\) came"
    with pytest.raises(DataError, match=match):
        load_inputs(tmp_path / "own.npz", {"image": (1, 6, 6), "state": (3, 1, 1)})


def test_missing_samples_of_an_input_are_an_error_that_names_them(tmp_path):
    np.savez(tmp_path / "own.npz", **{"x_train.image": IMAGE, "x_test.image": IMAGE})
    with pytest.raises(DataError, match=r"must have samples of the input state, x_train\.state"):
        load_inputs(tmp_path / "own.npz", {"image": (1, 6, 6), "state": (3, 1, 1)})


def test_data_sets_of_one_array_are_refused_with_the_way_out(tmp_path):
    (tmp_path / "net.py").write_text(CODE)
    settings = Settings(model=f"{tmp_path / 'net.py'}:Net", dataset="digits")
    with pytest.raises(DataError, match=r"\(image, state\) must have its data in a file \.npz"):
        prepare(settings, n_train=16, n_test=4)


@pytest.mark.medium
def test_archives_have_the_names_of_their_inputs(tmp_path):
    path = tmp_path / "net.pt2"
    program = torch.export.export(Two().eval(), (torch.zeros(2, 1, 6, 6), torch.zeros(2, 3)))
    torch.export.save(program, path)
    loaded = load_own_model(str(path))
    assert loaded.input_shape == {"image": (1, 6, 6), "state": (3,)}
    assert loaded.output_shape == (4,)
    net = stemcore.compile(path, calibration=(IMAGE, STATE), input="image=unit; state=-2..2")
    assert net.run((IMAGE[:2], STATE[:2]), engine="program").bit_exact
