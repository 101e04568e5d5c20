# SPDX-License-Identifier: Apache-2.0
"""Misspelt names."""

import pytest

from stemcore.models.data import check_dataset
from stemcore.models.errors import DataError, ModelError
from stemcore.models.registry import get_model
from stemcore.nearest import did_you_mean

OPTIONS = ("--images", "--sim", "--model", "--out")


@pytest.mark.parametrize(
    ("words", "known", "meant"),
    [
        ("--imgaes", OPTIONS, "--images"),
        ("--ima", OPTIONS, "--images"),
        ("--image", OPTIONS, "--images"),
        ("--imgaes=--sim", OPTIONS, "--images"),
        (["7", "--modle"], OPTIONS, "--model"),
        ("simulate", ("sim", "run", "synth"), "sim"),
        ("tiny_vg", ("tiny_vgg_12m", "tiny_vgg"), "tiny_vgg"),
    ],
)
def test_the_nearest_name_is_told(words, known, meant):
    assert did_you_mean(words, known) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    ("words", "known"),
    [("xyz", OPTIONS), ("lenet", ("resnet34",)), ("-", OPTIONS), ("sim", ()), ("", ("sim",))],
)
def test_nothing_is_told_where_nothing_is_near(words, known):
    assert did_you_mean(words, known) == ""


def test_misspelt_models_and_data_sets_get_their_nearest():
    with pytest.raises(ModelError, match=r"a \.pt2 archive; did you mean digits_cnn\?$"):
        get_model("digits_cn")
    with pytest.raises(DataError, match=r"choose one of them; did you mean cifar10\?$"):
        check_dataset("cifar")
