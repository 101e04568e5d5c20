# SPDX-License-Identifier: Apache-2.0
"""Models that the user brings as Python functions."""

import pytest

from stemcore.models.errors import ModelError
from stemcore.models.user_model import load_user_model

NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))

net.input_shape = (2, 6, 6)
"""

TWO_INPUTS = """
from torch import nn

class Net(nn.Module):
    input_shape = (1, 4, 4)

    def forward(self, left, right, scale=1):
        return (left + scale * right).flatten(1)

def net():
    return Net().eval()
"""
TEXT_OUTPUT = """
from torch import nn

class Text(nn.Module):
    input_shape = (1, 2, 2)

    def forward(self, x):
        return "x"

net = Text
"""


def write(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def test_function_is_loaded(tmp_path):
    model = load_user_model(f"{write(tmp_path, NETWORK)}:net")
    assert (model.name, model.input_shape, model.output_shape) == ("net", (2, 6, 6), (5,))
    assert not model.module.training
    assert model.graph is None


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
        match=r"^model: must be path/to/file\.py:function; '.*' came; write it like this or choose",
    ):
        load_user_model(reference)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"^.*mine\.py:net: the file must exist; nothing is at"):
        load_user_model(f"{tmp_path}/mine.py:net")


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
            NETWORK.replace("(2, 6, 6)", "(1, 2, 6, 6)"),
            r"input_shape must be positive integers, \(C, H, W\) of .*; \(1, 2, 6, 6\) came; leave",
        ),
        (NETWORK.replace("(2, 6, 6)", "(2, 6, 0)"), r"input_shape must be positive integers"),
        (
            NETWORK.replace("(2, 6, 6)", "(2, 9, 9)"),
            r"the model must accept an input of shape \(1, 2, 9, 9\); .* came; correct input_shape",
        ),
        (
            TWO_INPUTS,
            r".* it takes 2 inputs; .* of theirs, \{\"left\": \(1, 4, 4\), \"right\": \.\.\}$",
        ),
        (
            TEXT_OUTPUT,
            r"the model must return tensors with the batch first, .*; str came; return the logits",
        ),
    ],
)
def test_unusable_functions_are_refused(tmp_path, text, message):
    with pytest.raises(ModelError, match=rf"^.*mine\.py:net: {message}"):
        load_user_model(f"{write(tmp_path, text)}:net")
