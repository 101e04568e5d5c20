# SPDX-License-Identifier: Apache-2.0
"""The Makefile: names of variables are checked, values are text, paths may have spaces."""

import os
import re
import shlex
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
    write_program(
        python,
        "import sys\nfrom pathlib import Path\n"
        "Path('words').write_bytes(b'\\0'.join(w.encode() for w in sys.argv[1:]))\n",
    )
    # The environment is up to date: its stamp has the name that make asks for.
    told = make(folder, "-n", "env").stdout
    (stamp,) = re.findall(r"\.venv/stamp-\d+", told)
    (folder / stamp).touch()
    return folder


def write_program(path, text):
    """Make ``text`` a program of Python's: a first line ``#!`` takes no path with a space."""
    path.write_text(
        f"#!/bin/sh\n''':'\nexec {shlex.quote(sys.executable)} \"$0\" \"$@\"\n'''\n{text}"
    )
    path.chmod(0o755)


def make(folder, *words, **variables):
    hidden = ("MAKE", "MFLAGS", "MODEL", "SEED", "JOBS", "LONG", "DATA", "STAGES", "VENV")
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


@pytest.mark.medium
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


@pytest.mark.medium
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
    for name in re.findall(r"\b([A-Z_]+)/", re.sub(r"(?m)^#.*", "", text)):
        assert re.search(rf"^  {name} +\S", told, re.MULTILINE), name


def goals_and_variables():
    """What each command takes: variables by goal, as the error about another one lists them."""
    text = (ROOT / "Makefile").read_text()
    return sorted(set(re.findall(r"^TAKES_(\S+) :=", text, re.MULTILINE)))


@pytest.mark.medium
@pytest.mark.parametrize("goal", goals_and_variables())
def test_a_variable_that_a_command_does_not_use_is_an_error(checkout, goal):
    known = re.findall(r"^#\? ([A-Z_]+) ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    taken = None
    for name in known:
        done = make(checkout, "-n", goal, f"{name}=1")
        if done.returncode:
            taken = re.search(
                rf"\*\*\* {name}: make {goal} does not use this variable; leave it out\. +"
                r"It takes ([A-Z_ ]+|none)\. ",
                done.stderr,
            )[1].split()
            break
    assert taken is not None
    refused = {
        name for name in known if "does not use" in make(checkout, "-n", goal, f"{name}=1").stderr
    }
    assert refused == set(known) - set(taken) - {"VENV", "PYTHON"}
    assert not (checkout / "words").exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("sim", "check", "WAVES=1"), None),
        (("check", "estimate", "WAVES=1"), "WAVES"),
        (("train", "CHECKPOINT=x"), "CHECKPOINT"),
        (("sim", "SEED=3"), "SEED"),
        (("train", "IMAGES=3"), "IMAGES"),
        (("clean", "IMAGES=3"), None),
        (("IMAGES=3",), None),
    ],
)
def test_a_variable_must_be_of_one_of_several_commands(checkout, words, name):
    done = make(checkout, "-n", *words)
    assert done.returncode == (2 if name else 0), done.stderr
    if name:
        assert f"*** {name}: make " in done.stderr


def test_what_the_environment_says_is_for_whoever_uses_it(checkout):
    assert make(checkout, "info", IMAGES="3", WAVES="1").returncode == 0
    assert words_of(checkout) == ["-m", "stemcore", "info"]


@pytest.mark.medium
def test_stages_of_make_test_take_what_it_was_given(checkout):
    done = make(checkout, "test", "STAGES=lint", "SEED=3", "JOBS=1")
    assert "does not use" not in done.stderr


@pytest.mark.parametrize("stage", ["unit", "cocotb", "formal", "system"])
def test_long_tests_are_left_out_where_that_is_asked_for(checkout, stage):
    left_out = '-m "not long"'
    assert left_out in make(checkout, "-n", stage, "LONG=0").stdout
    assert left_out not in make(checkout, "-n", stage).stdout
    done = make(checkout, stage, "LONG=no")
    assert done.returncode == 2
    assert "LONG: must be 0 or 1, got 'no'" in done.stderr


@pytest.mark.medium
@pytest.mark.parametrize(
    "command", ["sim", "check", "estimate", "verilog", "sparsify", "sweep", "train"]
)
def test_every_option_of_a_command_has_its_variable_name(checkout, command):
    known = re.findall(r"^#\? ([A-Z_]+) ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    taken = [n for n in known if make(checkout, "-n", command, f"{n}=1").returncode == 0]
    taken = [name for name in taken if name not in ("VENV", "PYTHON")]
    make(checkout, command, *(f"{name}=1" for name in taken))
    words = words_of(checkout)[3:]
    from stemcore.runtime.commands.main import _command_parser
    from stemcore.runtime.commands.registry import commands

    options = {o for a in _command_parser(commands()[command])._actions for o in a.option_strings}
    assert len(words) == len(taken)
    assert {word.partition("=")[0] for word in words} <= options


def test_runs_in_folders_with_spaces(checkout):
    done = make(checkout, "compare", "RUNS='my runs/a' \"b's\" c")
    assert done.returncode == 0, done.stderr
    assert words_of(checkout)[3:] == ["my runs/a", "b's", "c"]


@pytest.mark.medium
@pytest.mark.parametrize(
    ("said", "last"),
    [
        (
            "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution",
            (
                "there is no network to install from: connect this machine (or name a proxy in "
                "https_proxy), then run make env again"
            ),
        ),
        ("No matching distribution found", "mend what these lines say, then run make env again"),
    ],
)
def test_setup_says_in_its_last_line_what_to_do(checkout, said, last):
    for stamp in (checkout / ".venv").glob("stamp-*"):
        stamp.unlink()
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f"#!/bin/sh\ncase $* in *install*) echo '{said}' >&2; exit 1;; esac\n")
    done = make(checkout, "env")
    assert done.returncode == 2
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert ours[-1] == f"env: {last}"
    assert said in done.stderr
    assert not list((checkout / ".venv").glob("stamp-*"))


def test_environment_with_a_space_in_its_path_is_refused(checkout):
    done = make(checkout, "sim", "VENV=my env")
    assert done.returncode == 2
    assert "VENV: must be a path without spaces, got 'my env'" in done.stderr


@pytest.mark.medium
def test_summary_counts_tests_and_says_what_was_skipped_and_why(checkout):
    """The stages' tests leave their counts; a stage without any, such as lint, has none."""
    python = checkout / ".venv" / "bin" / "python"
    write_program(
        python,
        "import os, sys\nfrom pathlib import Path\n"
        "stage = Path(os.environ['STEMCORE_EVIDENCE'])\n"
        "if sys.argv[1:3] == ['-m', 'pytest']:\n"
        "    stage.parent.mkdir(parents=True, exist_ok=True)\n"
        "    few = ', 1 skipped\\n1 x cifar10: no data' if stage.name == 'formal' else ''\n"
        "    Path(f'{stage}.txt').write_text(f'7 passed{few}\\n')\n",
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
