# SPDX-License-Identifier: Apache-2.0
"""`stemcore run` and `stemcore estimate`, with networks in folders."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import stemcore
from stemcore.runtime.commands.main import main
from stemcore.runtime.commands.run import read_images
from stemcore.runtime.result import Result

SHAPE = (1, 6, 6)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(2).integers(0, 256, (20, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def compiled(images):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).eval()
    return stemcore.compile(net, calibration=images, input="signed", preset="tiny", name="small")


@pytest.fixture
def folder(compiled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compiled.save("net")
    return tmp_path


@pytest.mark.medium
def test_run_writes_results_and_page(folder, compiled, images, capsys):
    expected = compiled.run(images[:4], engine="program")
    np.savez(folder / "x.npz", images=images[:4], labels=expected.predictions)
    assert main(["run", "net", "--images", "x.npz", "--engine", "program"]) == 0
    out = capsys.readouterr().out
    assert "spike trains equal to golden's" in out
    assert "right        100.00 % of 4 images" in out
    with np.load(folder / "sim_build" / "run-net" / "results.npz") as stored:
        np.testing.assert_array_equal(stored["integers"], expected.integers)
    page = (folder / "sim_build" / "run-net" / "report.html").read_text()
    assert "<h1>small " in page


@pytest.mark.medium
def test_golden_compares_nothing_and_says_so(folder, images, capsys):
    np.save(folder / "x.npy", images[:2])
    words = ["run", "net", "--images", "x.npy", "--engine", "golden", "--out", "here"]
    assert main(words) == 0
    assert "spike trains golden's own" in capsys.readouterr().out
    assert sorted(path.name for path in (folder / "here").iterdir()) == [
        "report.html",
        "results.npz",
    ]


@pytest.mark.medium
def test_a_difference_is_status_1(folder, images, monkeypatch, capsys):
    np.save(folder / "x.npy", images[:2])
    monkeypatch.setattr(
        "stemcore.runtime.compiled._difference", lambda *arguments: "conv: image 0, neuron"
    )
    assert main(["run", "net", "--images", "x.npy", "--engine", "program"]) == 1
    captured = capsys.readouterr()
    assert "spike trains NOT golden's" in captured.out
    assert captured.err == "DIFFERENT    conv: image 0, neuron\n"


@pytest.mark.medium
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["run", "none", "--images", "x.npy"],
            r"error: none/manifest\.json: must be the manifest o",
        ),
        (
            ["run", "net", "--images", "y.npy"],
            r"error: --images y\.npy: the file must exist; nothin",
        ),
        (
            ["run", "net", "--images", "bad.npz"],
            r"error: --images bad\.npz: must be \.npy or \.npz",
        ),
        (
            ["run", "net", "--images", "two.npz"],
            r"error: --images two\.npz: must have an array 'im",
        ),
        (["run", "net", "--images", "wide.npy"], r"error: images: must have shape \(N, 1, 6, 6\)"),
        (
            ["estimate", "net", "--cores", "3"],
            r"error: FOLDER: must come without options, since it",
        ),
        (
            ["estimate", "none"],
            r"error: none/manifest\.json: must be the manifest of a compilation",
        ),
    ],
)
def test_bad_input_is_status_2(folder, images, capsys, words, message):
    np.save(folder / "x.npy", images)
    np.save(folder / "wide.npy", np.zeros((2, 1, 6, 7), np.uint8))
    np.savez(folder / "two.npz", a=images, b=images)
    (folder / "bad.npz").write_bytes(b"PK nonsense")
    assert main(words) == 2
    assert re.match(message, capsys.readouterr().err)
    assert not (folder / "sim_build").exists()


@pytest.mark.medium
def test_labels_of_another_length_are_refused(folder, images, capsys):
    np.savez(folder / "x.npz", images=images[:2], labels=np.zeros(3, int))
    assert main(["run", "net", "--images", "x.npz", "--engine", "golden"]) == 2
    assert "labels: must be integers of shape (2,)" in capsys.readouterr().err


def test_one_array_of_any_name_is_images(tmp_path, images):
    np.savez(tmp_path / "x.npz", photos=images)
    found, labels = read_images(tmp_path / "x.npz")
    np.testing.assert_array_equal(found, images)
    assert labels is None


def test_pickled_objects_are_not_read(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(
        ValueError, match=r"^--images .*x\.npy: must be \.npy or \.npz without pickl"
    ):
        read_images(tmp_path / "x.npy")


def test_estimate_of_a_folder(folder, compiled, capsys):
    assert main(["estimate", "net"]) == 0
    assert capsys.readouterr().out == f"{compiled.estimate()}\n"


def unfolded(text):
    """Lines as they were said, before they were folded to the width of a terminal."""
    return text.replace("\n             ", " ").splitlines()


@pytest.mark.medium
def test_estimate_of_a_model_is_kept_and_reused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["estimate", "--model", "digits_cnn", "--cores", "5"]) == 0
    first = capsys.readouterr()
    assert "cores        5 of 32 lanes" in first.out
    assert "reused" not in first.err
    assert main(["estimate", "--model", "digits_cnn", "--cores", "5"]) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    kept = "sim_build/digits_cnn-digits-cores5/compiled"
    lines = unfolded(second.err)
    assert f"compile      quantize to activity reused from {kept}" in lines
    assert f"compile      map to assemble reused from {kept}" in lines
    # Another setting takes what it does not change from its neighbour.
    assert main(["estimate", "--model", "digits_cnn", "--cores", "6"]) == 0
    lines = unfolded(capsys.readouterr().err)
    assert [line for line in lines if "reused" in line] == [
        f"compile      quantize to activity reused from {kept}"
    ]
    # A run of `sim` leaves a folder that loads, and so does this.
    result = stemcore.load(f"{tmp_path}/sim_build/digits_cnn-digits-cores5").run(
        np.zeros((1, 1, 8, 8), np.int8), engine="program"
    )
    assert isinstance(result, Result)
    assert result.bit_exact
