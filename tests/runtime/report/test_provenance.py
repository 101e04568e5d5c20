# SPDX-License-Identifier: Apache-2.0
"""Hashes, versions and commits that tell results apart."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from stemcore.golden.program.program_file import load_program, save_program
from stemcore.golden.spec.fields import Memory
from stemcore.models.data import Dataset
from stemcore.runtime.report import provenance
from stemcore.runtime.report.provenance import (
    command_line,
    commit,
    hash_arrays,
    hash_program,
    hash_test_data,
    hash_weights,
    seeds,
    versions,
)
from tests.support.hand_programs import conv_chain_program


def git(folder, *words):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init")
    (folder / "file").write_text("1")
    git(folder, "add", "file")
    git(folder, "commit", "-m", "one")
    commit.cache_clear()
    return folder


def test_commit_of_a_checkout_and_whether_its_files_differ(checkout):
    head = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    (checkout / "untracked").write_text("results")
    assert commit(checkout) == {"hash": head, "is_dirty": False}
    (checkout / "file").write_text("2")
    commit.cache_clear()
    assert commit(checkout) == {"hash": head, "is_dirty": True}


def test_a_package_inside_someone_elses_checkout_has_no_commit(checkout):
    installed = checkout / "site-packages"
    installed.mkdir()
    assert commit(installed) is None


def test_no_checkout_or_no_git_is_no_commit(tmp_path, checkout, monkeypatch):
    assert commit(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(checkout) is None


def test_versions_are_those_installed(monkeypatch):
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert all(found[name] for name in ("stemcore", "python", "amaranth", "verilator"))
    monkeypatch.setattr(provenance, "PACKAGES", ("no-such-package",))
    assert versions()["no-such-package"] is None


@pytest.mark.parametrize("program", ["/venv/bin/stemcore", "/checkout/stemcore/__main__.py"])
def test_command_is_as_the_user_wrote_it(monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [program, "sim", "--model", "a b.py:f"])
    assert command_line() == ["stemcore", "sim", "--model", "a b.py:f"]


def test_seeds_are_of_what_is_random():
    assert seeds("digits", "trained") == {"data": 2024}
    assert seeds("mnist", "trained") == {}
    assert seeds("mnist", "calibrated random (seed 0)") == {"weights": 0}


def test_hash_of_arrays_sees_name_type_shape_and_content():
    one = np.arange(6, dtype=np.int64)
    base = hash_arrays([("a", one)])
    assert hash_arrays([("a", one.copy())]) == base
    assert hash_arrays([("a", one.reshape(2, 3)[:, ::1].ravel())]) == base
    others = [
        [("b", one)],
        [("a", one.astype(np.int32))],
        [("a", one.reshape(2, 3))],
        [("a", one + 1)],
        [("a", one[:3]), ("a", one[3:])],
    ]
    assert base not in [hash_arrays(other) for other in others]


def test_hash_of_weights_sees_every_parameter_and_buffer():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    before = hash_weights(module)
    assert hash_weights(module) == before
    module[1].running_mean += 1
    after = hash_weights(module)
    assert after != before
    with torch.no_grad():
        module[0].bias[1] += 1
    assert hash_weights(module) not in (before, after)


def test_hash_of_data_sees_images_and_labels_that_ran():
    pixels = np.arange(3 * 4, dtype=np.uint8).reshape(3, 1, 2, 2)
    labels = np.arange(3)
    data = Dataset("d", pixels, labels, pixels, labels, ("a", "b", "c"), "made up")
    one = hash_test_data(data, 2)
    assert hash_test_data(data, 3) != one
    assert hash_test_data(dataclasses.replace(data, test_labels=labels[::-1].copy()), 2) != one
    later = np.concatenate([pixels[:2], pixels[:1]])
    assert hash_test_data(dataclasses.replace(data, test_images=later), 2) == one


def test_hash_of_a_program_is_that_of_its_file_and_sees_every_word(tmp_path):
    program, _ = conv_chain_program()
    base = hash_program(program)
    save_program(program, tmp_path)
    assert hash_program(load_program(tmp_path)) == base
    assert hash_program(dataclasses.replace(program, name="renamed")) == base
    image = program.cores[1]
    words = {**image.memories, Memory.WEIGHT: image.memories[Memory.WEIGHT] ^ np.uint32(1)}
    cores = (program.cores[0], dataclasses.replace(image, memories=words), *program.cores[2:])
    assert hash_program(dataclasses.replace(program, cores=cores)) != base
    assert hash_program(dataclasses.replace(program, output_ends=program.output_ends + 1)) != base
