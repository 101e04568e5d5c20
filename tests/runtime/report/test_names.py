# SPDX-License-Identifier: Apache-2.0
"""Folders of runs: readable, the same for the same settings, and never shared."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemcore.compiler.errors import SparsifyError
from stemcore.compiler.lowering.integrate import modes
from stemcore.compiler.quantization.bias import BIAS_FORMATS, DEFAULT_FORMAT
from stemcore.compiler.quantization.calibration import parse_method
from stemcore.compiler.quantization.quantized import PROFILES
from stemcore.folders import results
from stemcore.golden.spec.presets import PRESETS
from stemcore.models.checkpoint import checkpoint_path
from stemcore.runtime.report.names import model_name, output_folder, run_name
from stemcore.runtime.settings import Settings, default_preset


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "tiny_vgg-digits"),
        ({"dataset": "mnist"}, "tiny_vgg-mnist"),
        ({"dataset": "cifar10", "data": Path("/data")}, "tiny_vgg-cifar10"),
        ({"integration": "late", "bits": 6, "tables": "rot1"}, "tiny_vgg-digits-late-bits6-rot1"),
        ({"tables": "rot1+drlo3"}, "tiny_vgg-digits-rot1+drlo3"),
        ({"profile": "paper", "bias": "output16"}, "tiny_vgg-digits-paper-output16"),
        ({"preset": "darwin3"}, "tiny_vgg-digits-darwin3"),
        ({"preset": "darwin3", "integration": "late"}, "tiny_vgg-digits-late-darwin3"),
        ({"cores": 7, "mesh": (3, 4)}, "tiny_vgg-digits-cores7-mesh3x4"),
        ({"skip_buffers": "none"}, "tiny_vgg-digits-skipbuffers.none"),
        ({"bits": 4, "weight_bits": 3}, "tiny_vgg-digits-bits4-weightbits3"),
        ({"calibration": "max"}, "tiny_vgg-digits-calibration.max"),
        ({"calibration": "percentile"}, "tiny_vgg-digits-calibration.percentile99.99"),
        ({"profile": "paper", "calibration": "mse"}, "tiny_vgg-digits-paper-calibration.mse"),
    ],
)
def test_name_says_what_is_not_the_default(changes, name):
    assert run_name(Settings("tiny_vgg", **changes)) == name


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "digits"},
        {"integration": "exact"},
        {"preset": "sim32"},
        {"bias": "int32"},
        {"tables": "none"},
        {"bits": 8, "weight_bits": 8, "calibration": "mse"},
        {"checkpoint": checkpoint_path("tiny_vgg", "digits")},
    ],
)
def test_a_default_that_is_spelled_out_changes_nothing(changes):
    assert output_folder(Settings("tiny_vgg", **changes)) == results() / "tiny_vgg-digits"


def test_each_presets_own_integration_is_its_default():
    for preset, params in PRESETS.items():
        plain = Settings("tiny_vgg", preset=preset)
        spelled = dataclasses.replace(plain, integration=params.integration)
        assert run_name(spelled) == run_name(plain)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("tiny_vgg", r"tiny_vgg"),
        ("nets/mine.py:small", r"mine\.small\.[0-9a-f]{8}"),
        ("/a.b/mine.pt2", r"mine\.[0-9a-f]{8}"),
        ("v1.5.pt2", r"v1\.5\.[0-9a-f]{8}"),
        ("my nets/a-b;c.py:f", r"a_b_c\.f\.[0-9a-f]{8}"),
        (f"{'long' * 60}.pt2", r"(long){8}\.[0-9a-f]{8}"),
    ],
)
def test_name_of_a_users_model_is_readable(model, name):
    assert re.fullmatch(name, model_name(model))


def test_two_files_never_share_a_name(tmp_path, monkeypatch):
    one, other = tmp_path / "one" / "net.py", tmp_path / "other" / "net.py"
    models = [f"{one}:f", f"{other}:f", f"{one}:g", str(one.with_suffix(".pt2"))]
    assert len({model_name(model) for model in models}) == len(models)
    # However the same file is written, it has one name.
    monkeypatch.chdir(tmp_path)
    assert (
        model_name("one/net.py:f") == model_name("other/../one/net.py:f") == model_name(models[0])
    )


def folder_of_images(place):
    for part in ("train", "val"):
        (place / part / "cat").mkdir(parents=True)
    return place


def test_two_folders_of_one_name_never_share_a_name(tmp_path):
    folders = [folder_of_images(tmp_path / place / "train") for place in ("one", "other")]
    settings = [Settings("tiny_vgg", dataset=str(folder)) for folder in folders]
    found = [run_name(one) for one in settings]
    assert all(re.fullmatch(r"tiny_vgg-train\.[0-9a-f]{8}", name) for name in found)
    assert found[0] != found[1]
    # A changed copy of the settings is still of that folder.
    assert run_name(dataclasses.replace(settings[0], bits=4)) == f"{found[0]}-bits4"
    known = Settings("tiny_vgg", dataset="imagenet", data=folders[0])
    assert run_name(known) == "tiny_vgg-imagenet"


def test_bits_by_layer_are_named_by_what_they_say():
    choices = [{"*": 8, "fc": 4}, {"*": 4, "fc": 8}, {"fc": 4, "0": 8}, {"0": 4, "fc": 8}]
    names = [
        run_name(Settings("tiny_vgg", **{which: choice}))
        for choice in choices
        for which in ("bits", "weight_bits")
    ]
    assert len(set(names)) == len(names)
    assert re.fullmatch(r"tiny_vgg-digits-bits\.8_fc_4\.[0-9a-f]{8}", names[0])
    assert re.fullmatch(r"tiny_vgg-digits-weightbits\.8_fc_4\.[0-9a-f]{8}", names[1])


def test_file_of_tables_is_named_by_what_it_says(tmp_path):
    path = tmp_path / "tables-rd.json"
    path.write_text(json.dumps({"conv": "rot1", "input": "rot2"}))
    name = run_name(Settings("tiny_vgg", tables=str(path)))
    assert re.fullmatch(r"tiny_vgg-digits-tables\.tables_rd\.[0-9a-f]{8}", name)
    path.write_text(json.dumps({"input": "rot2", "conv": "rot1"}, indent=3))
    assert run_name(Settings("tiny_vgg", tables=str(path))) == name
    path.write_text(json.dumps({"input": "rot2", "conv": "rot3"}))
    assert run_name(Settings("tiny_vgg", tables=str(path))) != name
    with pytest.raises(SparsifyError, match=r"^TABLES: a table must be rot<r>"):
        run_name(Settings("tiny_vgg", tables="rat1"))


def test_weights_of_ones_own_have_a_name(tmp_path):
    one = Settings("tiny_vgg", checkpoint=tmp_path / "one" / "best.safetensors")
    other = Settings("tiny_vgg", checkpoint=tmp_path / "other" / "best.safetensors")
    pattern = r"tiny_vgg-digits-weights\.best\.[0-9a-f]{8}"
    assert re.fullmatch(pattern, run_name(one))
    assert run_name(one) != run_name(other)


def test_words_without_a_label_name_one_setting_each():
    words = [*modes(), *PROFILES[1:], *BIAS_FORMATS, *PRESETS]
    assert len(set(words)) == len(words)
    numbered = r"((weight)?bits|cores|mesh|rot|drlo|ones|rd)\d.*"
    labelled = rf"{numbered}|(tables|weights|calibration|skipbuffers)\..*"
    assert [word for word in words if re.fullmatch(labelled, word)] == []


TABLES = st.sampled_from(["none", "rot1", "rot11", "rot1+drlo3", "drlo3", "ones3", "rd20", "rd2.5"])
LAYER_BITS = st.integers(2, 8) | st.dictionaries(
    st.sampled_from(["*", "fc", "a.b", "a_b"]), st.integers(2, 8), min_size=1
)
SETTINGS = st.builds(
    Settings,
    model=st.sampled_from(
        ["tiny_vgg", "tiny_vgg_12m", "digits_cnn", "a.py:f", "b/a.py:f", "f.pt2"]
    ),
    dataset=st.sampled_from(["digits", "mnist", "cifar10"]),
    preset=st.sampled_from([None, *PRESETS]),
    cores=st.none() | st.integers(1, 99),
    mesh=st.none() | st.tuples(st.integers(1, 32), st.integers(1, 32)),
    profile=st.sampled_from(PROFILES),
    bias=st.sampled_from([None, *BIAS_FORMATS]),
    bits=LAYER_BITS,
    weight_bits=LAYER_BITS,
    calibration=st.sampled_from(
        ["", "max", "mse", "percentile", "percentile:99.99", "percentile:9"]
    ),
    tables=TABLES,
    integration=st.sampled_from([None, *modes()]),
    skip_buffers=st.sampled_from(["", "all", "none"]),
    checkpoint=st.sampled_from([None, Path("a/w.safetensors"), Path("b/w.safetensors")]),
)


def filled_in(settings):
    """The settings with every default spelled out: equal where two runs are one."""
    preset = settings.preset or default_preset(settings.model)
    return dataclasses.replace(
        settings,
        preset=preset,
        integration=settings.integration or PRESETS[preset].integration,
        bias=settings.bias or DEFAULT_FORMAT[settings.profile],
        calibration=str(parse_method(settings.calibration, settings.profile)),
    )


@given(SETTINGS, SETTINGS)
def test_names_are_equal_exactly_where_settings_are(one, other):
    assert (run_name(one) == run_name(other)) == (filled_in(one) == filled_in(other))
    assert run_name(one) == run_name(filled_in(one))
    assert re.fullmatch(r"[A-Za-z0-9_.+-]{1,200}", run_name(one))


FIELDS = [field.name for field in dataclasses.fields(Settings)]


@given(SETTINGS, SETTINGS, st.sampled_from(FIELDS))
def test_one_setting_more_is_another_name(one, other, field):
    changed = dataclasses.replace(one, **{field: getattr(other, field)})
    assert (run_name(one) == run_name(changed)) == (filled_in(one) == filled_in(changed))
