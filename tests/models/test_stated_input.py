# SPDX-License-Identifier: Apache-2.0
"""What a model says of its input becomes the words of the option; anything unclear is refused."""

from types import SimpleNamespace
from zipfile import ZipFile

import pytest
import torch

from stemcore.models.errors import ModelError
from stemcore.models.stated_input import archive_input, pair_in_words, stated_input


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, ""),
        ({"input_range": "unit"}, "unit"),
        ({"input_range": (0, 1)}, "0.0..1.0"),
        ({"input_mean": 0.5, "input_std": 0.25}, "0.5,0.25"),
        ({"input_mean": [0.1, 0.2], "input_std": 0.5}, "0.1,0.2,0.5,0.5"),
        ({"input_mean": torch.zeros(3)}, ""),  # a buffer of the network
    ],
)
def test_attributes_are_the_words_of_the_option(said, words):
    assert stated_input("net", SimpleNamespace(**said)) == words


def test_the_module_speaks_before_its_function():
    module, build = SimpleNamespace(input_range="u8"), SimpleNamespace(input_range="unit")
    assert stated_input("net", module, build) == "u8"
    assert stated_input("net", SimpleNamespace(), build) == "unit"


@pytest.mark.parametrize(
    "said",
    [
        {"input_mean": 0.5},
        {"input_range": (0, 1), "input_mean": 0.5, "input_std": 1},
        {"input_range": (0, 1, 2)},
        {"input_range": (0, float("nan"))},
        {"input_mean": [0.1, 0.2], "input_std": [1, 1, 1]},
        {"input_mean": "0.5", "input_std": 1},
    ],
)
def test_unclear_statements_are_refused(said):
    with pytest.raises(
        ModelError, match=r"^net: the input must be stated as input_range = .* came"
    ):
        stated_input("net", SimpleNamespace(**said))


def test_pairs_are_ranges_or_means_and_deviations():
    assert pair_in_words((-1, 1), "input") == "-1.0..1.0"
    assert pair_in_words(([0.5, 0.4], [0.2, 0.3]), "input") == "0.5,0.4,0.2,0.3"
    with pytest.raises(ModelError, match=r"^input: must be text such as 'unit', .*; 3 came"):
        pair_in_words(3, "input")


@pytest.mark.medium
def test_archives_say_it_in_an_extra_file(tmp_path):
    net = torch.nn.Linear(4, 2).eval()
    program = torch.export.export(net, (torch.zeros(1, 4),))
    torch.export.save(program, tmp_path / "said.pt2", extra_files={"input": "unit\n"})
    torch.export.save(program, tmp_path / "silent.pt2")
    assert archive_input(tmp_path / "said.pt2") == "unit"
    assert archive_input(tmp_path / "silent.pt2") == ""
    assert archive_input(tmp_path / "absent.pt2") == ""
    (tmp_path / "text.pt2").write_text("no archive")
    assert archive_input(tmp_path / "text.pt2") == ""
    with ZipFile(tmp_path / "long.pt2", "w") as archive:
        archive.writestr("net/extra/input", "0," * 5000)
    assert archive_input(tmp_path / "long.pt2") == ""
