# SPDX-License-Identifier: Apache-2.0
"""The Makefile: names of variables are checked, values are text, paths may have spaces."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.crossed import crossed

ROOT = Path(__file__).parent.parent
HOSTILE = [
    "a b",
    "it's",
    'say "no"',
    "$(touch marker)",
    "$(shell touch marker)",
    "$$(touch marker)",
    "${HOME}",
    "`touch marker`",
    "; touch marker",
    "& touch marker &",
    "| touch marker",
    "> marker",
    "a#b",
    "a\\",
    "a\\ b",
    "*",
    "~",
    "--help",
    "$(MODEL)",
    "%",
    "ä 🙂",
    "a\nb",
    "'; touch marker; '",
    '"; touch marker; "',
]


@pytest.fixture
def checkout(tmp_path):
    """Makefile and .ci in a path with a space; the environment's python only tells its words."""
    folder = tmp_path / "my projects"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
        "Path('words').write_bytes(b'\\0'.join(w.encode() for w in sys.argv[1:]))\n"
    )
    python.chmod(0o755)
    # The environment is up to date: its stamp has the name that make asks for.
    told = make(folder, "-n", "env").stdout
    (stamp,) = re.findall(r"\.venv/stamp-\d+", told)
    (folder / stamp).touch()
    return folder


def make(folder, *words, **variables):
    hidden = ("MAKE", "MFLAGS", "MODEL", "SEED", "JOBS", "DATA", "STAGES", "VENV")
    env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    return subprocess.run(
        ["make", *words], cwd=folder, env=env | variables, capture_output=True, text=True
    )


def words_of(folder):
    path = folder / "words"
    words = path.read_bytes().decode().split("\0")
    path.unlink()
    return words


@crossed(1, value=HOSTILE, given_by=["command line", "environment"])
def test_value_reaches_the_program_as_text(checkout, value, given_by):
    if given_by == "environment":
        done = make(checkout, "sim", IMAGES="2", MODEL=value, DATASET=value)
    else:
        done = make(checkout, "sim", "IMAGES=2", f"MODEL={value}", f"DATASET={value}")
    assert done.returncode == 0, done.stderr
    assert words_of(checkout) == [
        *("-m", "stemcore", "sim", f"--model={value}", f"--dataset={value}", "--images=2")
    ]
    assert not (checkout / "marker").exists()


@pytest.mark.parametrize("value", ["$(shell touch marker)", "'; touch marker; '"])
def test_value_is_text_in_a_make_within_make_too(checkout, value):
    (checkout / "Makefile").write_text(
        (checkout / "Makefile").read_text() + "\nagain:\n\t@$(MAKE) sim\n"
    )
    done = make(checkout, "again", f"MODEL={value}")
    assert done.returncode == 0, done.stderr
    assert words_of(checkout)[3] == f"--model={value}"
    assert not (checkout / "marker").exists()


def test_only_what_is_set_is_passed_on(checkout):
    make(checkout, "sim")
    assert words_of(checkout) == ["-m", "stemcore", "sim", "--model=tiny_vgg"]
    make(checkout, "sim", "DATASET=", "WAVES=1")
    assert words_of(checkout) == ["-m", "stemcore", "sim", "--model=tiny_vgg", "--waves=1"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("IMGAES", "IMAGES"),
        ("IMAGE", "IMAGES"),
        ("model", "MODEL"),
        ("DATSET", "DATASET"),
        ("SPIKEPENALTY", "SPIKE_PENALTY"),
        ("TABLE", "TABLES"),
        ("INTERGATION", "INTEGRATION"),
    ],
)
def test_misspelt_variable_is_an_error_with_the_nearest_name(checkout, wrong, right):
    done = make(checkout, "sim", f"{wrong}=2")
    assert done.returncode == 2
    assert re.search(rf"\*\*\* {wrong}: no variable .*; did you mean {right}\?", done.stderr)
    assert not (checkout / "words").exists()


@pytest.mark.parametrize("name", ["XYZZY", "a'b", "`touch`", "a;b"])
def test_unknown_variable_is_an_error(checkout, name):
    done = make(checkout, "sim", f"{name}=2")
    assert done.returncode == 2
    assert not (checkout / "words").exists()
    assert not (checkout / "marker").exists()


def test_data_of_the_environment_is_somebody_elses(checkout):
    make(checkout, "check", DATA="/somewhere")
    assert words_of(checkout) == ["-m", "stemcore", "check", "--model=tiny_vgg"]
    make(checkout, "check", "DATA=/mine")
    assert words_of(checkout)[-1] == "--data=/mine"


def test_help_lists_every_target_and_variable(checkout):
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)", text.replace("\\\n", " "), re.MULTILINE)[1]
    told = make(checkout, "help").stdout
    for target in phony.split():
        assert re.search(rf"^  make {target} +\S", told, re.MULTILINE), target
    for name in re.findall(r"call option,([A-Z_]+),", text):
        assert re.search(rf"^  {name} +\S", told, re.MULTILINE), name


def test_environment_with_a_space_in_its_path_is_refused(checkout):
    done = make(checkout, "sim", "VENV=my env")
    assert done.returncode == 2
    assert "VENV: must be a path without spaces, got 'my env'" in done.stderr


def test_summary_counts_tests_and_says_what_was_skipped_and_why(checkout):
    """The stages' tests leave their counts; a stage without any, such as lint, has none."""
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(
        f"#!{sys.executable}\nimport os, sys\nfrom pathlib import Path\n"
        "stage = Path(os.environ['STEMCORE_EVIDENCE'])\n"
        "if sys.argv[1:3] == ['-m', 'pytest']:\n"
        "    stage.parent.mkdir(parents=True, exist_ok=True)\n"
        "    few = ', 1 skipped\\n1 x cifar10: no data' if stage.name == 'formal' else ''\n"
        "    Path(f'{stage}.txt').write_text(f'7 passed{few}\\n')\n"
    )
    old = checkout / "sim_build" / "evidence" / "lint.txt"
    old.parent.mkdir(parents=True)
    old.write_text("99 passed\n")
    done = make(checkout, "test", "STAGES=lint formal cocotb")
    assert done.returncode == 0, done.stderr
    summary = done.stdout.partition("== summary")[2]
    assert re.search(r"^lint +passed +\d+ s +$", summary, re.MULTILINE)
    assert re.search(r"^formal +passed +\d+ s  7 passed, 1 skipped$", summary, re.MULTILINE)
    assert summary.endswith("\nskipped\n  formal: 1 x cifar10: no data\n")
