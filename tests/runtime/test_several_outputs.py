# SPDX-License-Identifier: Apache-2.0
"""Networks with several outputs through the front door: compiled, run, saved, reported."""

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves, tree_structure

import stemcore
from stemcore.compiler.errors import QuantizeError
from stemcore.compiler.estimation.estimate import estimate_images
from stemcore.golden.program.program_file import load_program, save_program
from stemcore.runtime.engines.compare import with_outputs
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.engines.verilator import Verilator
from stemcore.runtime.host.verilog_bench import run_bench_verilog
from stemcore.runtime.toolchain import ToolError
from tests.support.several_nets import heads

BYTES = np.random.default_rng(5).integers(0, 256, (48, 1, 8, 8)).astype(np.uint8)


def compiled(name, **options):
    module = heads(name)
    return module, stemcore.compile(module, calibration=BYTES, input="unit", **options)


@pytest.mark.medium
@pytest.mark.parametrize("name", ["nested", "tails", "twice", "moved", "one_of_dict"])
def test_final_is_what_the_module_returns(name):
    module, net = compiled(name)
    result = net.run(BYTES[:6], engine="program")
    assert result.bit_exact
    with torch.no_grad():
        wanted = module(torch.from_numpy(BYTES[:6] / 255.0).float())
    assert tree_structure(result.final) == tree_structure(wanted)
    for got, want in zip(tree_leaves(result.final), tree_leaves(wanted), strict=True):
        assert got.shape == tuple(want.shape)
        if want.is_floating_point():
            largest = float(want.abs().max())
            np.testing.assert_allclose(got, want.numpy(), atol=0.03 * largest)
    quantized = net.compilation.quantized_model(torch.from_numpy(result.images))
    for output in net.network.outputs:
        np.testing.assert_array_equal(
            result._received[output.source], quantized[output.source.partition(".skip")[0]].numpy()
        )


@pytest.mark.medium
def test_each_output_has_a_scale_of_its_own_kind():
    _, net = compiled("dict", outputs={"scores": "classes", "box": "values"})
    assert net.compilation.quantized.kinds == [("scores", "classes"), ("box", "values")]
    _, other = compiled("dict", outputs="scores=values")
    assert other.compilation.quantized.kinds == [("scores", "values"), ("box", "values")]
    assert any("scores, box - values" in note for note in other.notes)
    with pytest.raises(QuantizeError, match=r"must name outputs of the network, got 'boxes'; the "):
        compiled("dict", outputs={"boxes": "values"})
    with pytest.raises(QuantizeError, match=r"outputs: must be classes or values, got 'numbers'"):
        compiled("dict", outputs={"box": "numbers"})


@pytest.mark.medium
def test_saved_network_arranges_its_outputs_without_the_model(tmp_path):
    _, net = compiled("nested")
    before = net.run(BYTES[:2], engine="golden").final
    after = stemcore.load(net.save(tmp_path / "net")).run(BYTES[:2], engine="program").final
    for one, other in zip(tree_leaves(before), tree_leaves(after), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.medium
def test_program_file_keeps_outputs_and_refuses_unknown_ones(tmp_path):
    _, net = compiled("tails")
    save_program(net.program, tmp_path)
    assert load_program(tmp_path).results == net.program.results
    outputs = load_program(tmp_path).outputs
    assert [output.name for output in outputs] == ["0", "1", "2"]
    result = net.run(BYTES[:3], engine="program")
    # Tails in a program begin at integers.
    integers = result._received[outputs[0].source]
    np.testing.assert_allclose(outputs[0].final(integers), result.final[0])


@pytest.mark.medium
def test_results_file_and_page_have_every_output(tmp_path):
    _, net = compiled("tails")
    result = net.run(BYTES[:3], engine="program")
    with np.load(result.save(tmp_path / "found.npz")) as arrays:
        for name in ("integers.0", "outputs.0", "final.0", "integers.1", "outputs.1", "final.2"):
            assert name in arrays.files
        np.testing.assert_allclose(arrays["final.0"], result.final[0])
    page = result.report(tmp_path / "page.html").read_text()
    assert "softmax over axis 1; 2: shape (5,), argmax over axis 1" in page


@pytest.mark.medium
def test_spikes_that_the_host_did_not_get_are_a_difference():
    _, net = compiled("tuple")
    ran = run_engine("program", net.program, net.integers(BYTES[:2]))
    ran.outputs[1, -1] += 1
    with pytest.raises(AssertionError, match=r"^box.*: the host must receive what the cores fire"):
        with_outputs(net.program, ran)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("integration", ["exact", "late"])
def test_every_spike_of_every_output_is_golden_s_on_the_gateware(integration):
    _, net = compiled("nested", integration=integration)
    result = net.run(BYTES[:3], engine="rtl")
    assert result.bit_exact
    predicted = estimate_images(net.program, result.images, result.values)
    taken = result.timing.end - result.timing.start[0]
    np.testing.assert_allclose(predicted.end, taken, rtol=0.05)
    over_mesh = Verilator(over_mesh=True)
    again = run_engine(over_mesh, net.program, net.integers(BYTES[:3]))
    np.testing.assert_array_equal(again.outputs, result.ran.outputs)


@pytest.mark.long
@pytest.mark.sim
@pytest.mark.slow
def test_exported_bench_compares_every_output(tmp_path):
    _, net = compiled("tuple", preset="tiny")
    folder = net.verilog(tmp_path / "chip", BYTES[:2])
    assert "PASS: 2 images" in run_bench_verilog(folder, "icarus")
    lines = (folder / "expected.hex").read_text().splitlines()
    lines[-1] = f"{int(lines[-1], 16) ^ 1:02x}"  # the last value of the second output
    (folder / "expected.hex").write_text("\n".join(lines) + "\n")
    with pytest.raises(ToolError, match=r"FAIL image 1: box\S*, neuron \(channel 2, row 0, col"):
        run_bench_verilog(folder, "icarus")
