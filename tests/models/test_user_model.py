# SPDX-License-Identifier: Apache-2.0
"""Models that the user brings: Python functions and exported archives."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from stemcore.models.errors import ModelError
from stemcore.models.user_model import is_user_model, load_user_model

NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))

net.input_shape = (2, 6, 6)
"""

TWO_OUTPUTS = """
from torch import nn

class Two(nn.Module):
    input_shape = (1, 2, 2)

    def forward(self, x):
        return x, x

net = Two
"""


def write(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def build():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).eval()


def export(path, module, *inputs):
    torch.export.save(torch.export.export(module, inputs), path)
    return str(path)


@pytest.mark.parametrize(
    ("reference", "verdict"),
    [("net.pt2", True), ("a/b.py:net", True), ("tiny_vgg", False), ("b.py", False)],
)
def test_is_user_model(reference, verdict):
    assert is_user_model(reference) is verdict


def test_function_is_loaded(tmp_path):
    model = load_user_model(f"{write(tmp_path, NETWORK)}:net")
    assert (model.name, model.input_shape, model.output_shape) == ("net", (2, 6, 6), (5,))
    assert not model.module.training
    assert model.program is None


def test_module_attribute_and_neighbour_import(tmp_path):
    (tmp_path / "stemcore_test_neighbour.py").write_text("SHAPE = [2, 6, 6]")
    text = NETWORK.replace(
        "net.input_shape = (2, 6, 6)",
        """
from stemcore_test_neighbour import SHAPE

def other():
    module = net()
    module.input_shape = SHAPE
    return module
""",
    )
    assert load_user_model(f"{write(tmp_path, text)}:other").input_shape == (2, 6, 6)


@pytest.mark.parametrize("reference", ["mine", "mine.py", "mine.py:", "mine.txt:net", "a.py:b c"])
def test_other_forms_are_refused(reference):
    with pytest.raises(
        ModelError,
        match=r"^model: must be path/to/file\.py:function or "
        r"path/to/model\.pt2; '.*' came; write",
    ):
        load_user_model(reference)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"^.*mine\.py:net: the file must exist; nothing is at"):
        load_user_model(f"{tmp_path}/mine.py:net")
    with pytest.raises(ModelError, match=r"^.*mine\.pt2: the archive must exist; nothing is there"):
        load_user_model(f"{tmp_path}/mine.pt2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import no_such_thing",
            r"the file must run without an error; ModuleNotFoundError: No module",
        ),
        ("def net(:", r"the file must run without an error; SyntaxError"),
        ("other = 1", r"the file must define the function 'net'; nothing of that name came"),
        ("net = 1", r"the file must define the function 'net'; int came"),
        ("def net(): return 1 / 0", r"the function must run without arguments and errors; ZeroDiv"),
        ("def net(width): pass", r"the function must run without arguments and errors; TypeError"),
        ("def net(): return 3", r"the function must return a torch\.nn\.Module; int came; return"),
        (
            NETWORK.replace("net.input_shape", "_"),
            r"the module or the function must have an attribute input_shape; none came; add e\.g\.",
        ),
        (
            NETWORK.replace("(2, 6, 6)", "(6, 6)"),
            r"input_shape must be three positive integers \(C, H, W\); \(6, 6\) came; give",
        ),
        (NETWORK.replace("(2, 6, 6)", "(2, 6, 0)"), r"input_shape must be three positive integers"),
        (
            NETWORK.replace("(2, 6, 6)", "(2, 9, 9)"),
            r"the model must accept an input of shape \(1, 2, 9, 9\); .* came; correct input_shape",
        ),
        (
            TWO_OUTPUTS,
            r"the model must return one tensor with the batch first; tuple came; return the logits",
        ),
    ],
)
def test_unusable_functions_are_refused(tmp_path, text, message):
    with pytest.raises(ModelError, match=rf"^.*mine\.py:net: {message}"):
        load_user_model(f"{write(tmp_path, text)}:net")


def test_archive_is_loaded(tmp_path):
    module, images = build(), torch.randn(2, 2, 6, 6)
    model = load_user_model(export(tmp_path / "mine.pt2", module, images))
    assert (model.name, model.input_shape, model.output_shape) == ("mine", (2, 6, 6), (5,))
    torch.testing.assert_close(model.module(images), module(images))
    assert isinstance(model.program, torch.export.ExportedProgram)


def test_archive_with_a_free_batch_is_loaded(tmp_path):
    path = tmp_path / "free.pt2"
    program = torch.export.export(
        build(), (torch.randn(2, 2, 6, 6),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    torch.export.save(program, path)
    assert load_user_model(str(path)).input_shape == (2, 6, 6)


@pytest.mark.parametrize(
    ("n_images", "dim", "limits"),
    [
        (1, None, (1, 1)),
        (4, None, (4, 4)),
        (2, torch.export.Dim("batch"), (1, None)),
        (4, torch.export.Dim("some", min=3, max=6), (3, 6)),
    ],
    ids=["static1", "static4", "dynamic", "bounded"],
)
def test_archive_of_any_batch_runs_any_number_of_images(tmp_path, n_images, dim, limits):
    path, module = tmp_path / "net.pt2", build()
    shapes = None if dim is None else ({0: dim},)
    example = (torch.randn(n_images, 2, 6, 6),)
    torch.export.save(torch.export.export(module, example, dynamic_shapes=shapes), path)
    model = load_user_model(str(path))
    found = model.module.least, model.module.most
    assert found[1] == limits[1]
    assert found[0] == limits[0] or limits[1] is None
    assert not model.module.training
    for n in (1, 2, 3, 4, 5, 7, 13):
        images = torch.randn(n, 2, 6, 6)
        with torch.no_grad():
            torch.testing.assert_close(model.module(images), module(images))


SAVE_QUANTIZED = """
import sys
import torch
import torch.ao.quantization.fx._decomposed

class Net(torch.nn.Module):
    def forward(self, x):
        ops = torch.ops.quantized_decomposed
        q = ops.quantize_per_tensor(x, 0.5, 0, -127, 127, torch.int8)
        return ops.dequantize_per_tensor(q, 0.5, 0, -127, 127, torch.int8).mean((2, 3))

torch.export.save(torch.export.export(Net(), (torch.zeros(1, 2, 4, 4),)), sys.argv[1])
"""


@pytest.mark.slow
def test_quantized_archive_of_another_process_is_loaded(tmp_path):
    path = tmp_path / "quantized.pt2"
    subprocess.run([sys.executable, "-c", SAVE_QUANTIZED, str(path)], check=True)
    model = load_user_model(str(path))
    assert (model.input_shape, model.output_shape) == ((2, 4, 4), (2,))


def test_damaged_archive_is_refused(tmp_path):
    path = tmp_path / "mine.pt2"
    path.write_bytes(b"not an archive")
    with pytest.raises(
        ModelError,
        match=r"^.*mine\.pt2: must be an archive of torch\.export\.save;"
        r" reading it gave .*; export the model again",
    ):
        load_user_model(str(path))


def test_archive_of_another_kind_of_input_is_refused(tmp_path):
    flat = export(tmp_path / "flat.pt2", nn.Linear(3, 2), torch.randn(1, 3))
    with pytest.raises(
        ModelError,
        match=r"^.*flat\.pt2: the model must take one tensor "
        r"\(N, C, H, W\); \(1, 3\) came; export",
    ):
        load_user_model(flat)
