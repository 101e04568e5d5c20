# SPDX-License-Identifier: Apache-2.0
"""The wheel has every module and data file, one top-level package, and a size that it keeps to."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.medium  # what its fixtures make takes seconds

ROOT = Path(__file__).parent.parent
ROOMS = ("golden", "hdl", "compiler", "models", "runtime", "benchmarks")
LIMIT = 12_000_000
WEIGHTS = "stemcore/models/checkpoints/"


def tracked() -> list[str]:
    """Files of the packages, as git knows them: what is generated is no part of the project."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, since a build leaves files behind that the next one would take in."""
    source, out = (tmp_path_factory.mktemp(name) for name in ("source", "wheel"))
    for name in tracked():
        if name.split("/")[0] in (*ROOMS, "stemcore", "pyproject.toml", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    options = ["--no-deps", "--no-build-isolation", "-q", "-w", str(out)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("stemcore-*.whl")
    return path


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_has_one_top_level_package(names):
    assert {name.split("/")[0].split("-")[0] for name in names} == {"stemcore"}


def test_wheel_has_all_files_of_the_packages(names):
    inside = {name for name in names if ".dist-info/" not in name and WEIGHTS not in name}
    wanted = {
        name if name.startswith("stemcore/") else f"stemcore/{name}"
        for name in tracked()
        if name.split("/")[0] in (*ROOMS, "stemcore") and not name.endswith("README.md")
    }
    assert inside == {name for name in wanted if WEIGHTS not in name}
    assert {Path(name).suffix for name in inside} >= {".py", ".v", ".h", ".cpp", ".css", ".js"}


def test_wheel_has_the_weights_of_the_digits_and_the_list_of_all(names):
    weights = {name.removeprefix(WEIGHTS) for name in names if name.startswith(WEIGHTS)}
    assert weights == {
        "SHA256SUMS",
        "cifar10net_w64-digits.safetensors",
        "audio_cnn-tones.safetensors",
        "digits_cnn-digits.safetensors",
        "lenet5-digits.safetensors",
        "resnet18_cifar-digits.safetensors",
        "tiny_vgg-digits.safetensors",
        "tiny_yolo-digit_boxes.safetensors",
        "unet-shapes.safetensors",
        "unet_upsampling-shapes.safetensors",
    }


def test_wheel_is_small(wheel):
    assert wheel.stat().st_size < LIMIT


def test_wheel_installs_the_console_script(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("entry_points.txt")]
        text = archive.read(name).decode()
    assert "stemcore = stemcore.__main__:entry" in text
