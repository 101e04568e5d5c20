# SPDX-License-Identifier: Apache-2.0
"""The command line: what it passes on, prints and returns."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from stemcore.compiler.errors import CompileError
from stemcore.golden.spec.codec import CodecParams
from stemcore.models.errors import ModelError
from stemcore.runtime.commands.main import main
from stemcore.runtime.commands.sim import wave_lines
from stemcore.runtime.engines.compare import Difference
from stemcore.runtime.engines.result import EngineError
from stemcore.runtime.host.host_sides import HostSides
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import SimResult
from stemcore.runtime.toolchain import ToolError
from tests.support.made_up_run import made_up_report


@pytest.fixture
def simulated(monkeypatch):
    """Replaces the simulation; returns what it was called with, and what it is to return."""
    calls = []
    answer = {"report": made_up_report(), "differences": ()}

    def simulate(settings, **options):
        calls.append((settings, options))
        return SimResult(
            report=answer["report"], folder=Path("out"), differences=answer["differences"]
        )

    monkeypatch.setattr("stemcore.runtime.simulate.simulate", simulate)
    return calls, answer


def test_defaults_of_sim(simulated):
    calls, _ = simulated
    assert main(["sim"]) == 0
    settings, options = calls[0]
    assert settings == Settings("tiny_vgg", dataset="digits", profile="exact")
    assert options["n_images"] == 4
    assert options["engine"] == "verilator"
    assert options["waves"] is None
    assert options["threads"] is None
    assert options["cores_on_chip"] is None


def test_every_option_arrives(simulated):
    calls, _ = simulated
    words = (
        "sim --model m.py:f --dataset cifar10 --data d --checkpoint w.safetensors --preset ecp5 "
        "--cores 7 --mesh 3x4 --profile general --bias fraction16 --bits 5 --tables rot1 "
        "--images 2 --sim amaranth --waves 1 --threads 3 --accuracy-images 9 "
        "--cores-on-chip 5"
    )
    assert main(words.split()) == 0
    settings, options = calls[0]
    assert settings == Settings(
        "m.py:f",
        dataset="cifar10",
        data=Path("d"),
        preset="ecp5",
        cores=7,
        mesh=(3, 4),
        profile="general",
        bias="fraction16",
        bits=5,
        tables="rot1",
        checkpoint=Path("w.safetensors"),
    )
    assert (options["n_images"], options["engine"]) == (2, "amaranth")
    assert (options["waves"], options["accuracy_images"]) == ("all", 9)
    assert options["threads"] == 3
    assert options["cores_on_chip"] == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--sim golden",
            r"cores-on-chip: engine 'golden' has no cores, so the option",
        ),
        ("--waves 1", r"cores-on-chip: cores that take turns on the nodes have no waves"),
    ],
)
def test_cores_in_turn_need_a_chip_and_no_waves(words, message, capsys):
    assert main(["sim", "--model", "digits_cnn", "--cores-on-chip", "2", *words.split()]) == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))


@pytest.mark.parametrize(
    ("text", "nodes"),
    [("0", None), ("1", "all"), ("all", "all"), ("0,1", ((0, 1),)), ("0,1; 3,9", ((0, 1), (3, 9)))],
)
def test_waves_name_nodes(simulated, text, nodes):
    calls, _ = simulated
    assert main(["sim", "--waves", text]) == 0
    assert calls[0][1]["waves"] == nodes


def test_differences_return_one_and_are_shown(simulated, capsys):
    _, answer = simulated
    answer["differences"] = ("conv: image 0, neuron ...", "dense: image 1, neuron ...")
    assert main(["sim"]) == 1
    shown = capsys.readouterr().err.splitlines()
    assert shown == [
        "DIFFERENT    conv: image 0, neuron ...",
        "DIFFERENT    dense: image 1, neuron ...",
    ]


def test_report_is_pointed_to(simulated, capsys):
    assert main(["sim", "--sim", "program"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "accuracy     float 98.75 %, quantized 98.00 % (360 test images)" in lines
    assert [line.split()[0] for line in lines if "%" in line][:3] == ["conv", "dense", "all"]
    assert lines[-2:] == ["report       out/report.json", "page         out/report.html"]


@pytest.mark.parametrize("n_files", [1, 6])
def test_waves_are_named_with_the_way_to_open_them(tmp_path, monkeypatch, n_files):
    for number in range(n_files):
        (tmp_path / f"waves-0-{number}.fst").touch()
    first = tmp_path / "waves-0-0.fst"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    lines = wave_lines(tmp_path)
    assert lines[0] == f"waves        {first}"
    assert lines[-3:] == [
        f"open with    cd {tmp_path}",
        *(f"             {viewer} waves-0-0.fst" for viewer in ("surfer", "gtkwave")),
    ]
    assert ("             and 2 more, one for each node" in lines) == (n_files == 6)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "gtkwave" else None)
    (tmp_path / "waves-0-0.gtkw").touch()
    assert wave_lines(tmp_path)[-1] == "             gtkwave waves-0-0.fst waves-0-0.gtkw"
    assert "surfer" not in "".join(wave_lines(tmp_path))


def test_no_waves_need_no_viewer(tmp_path):
    assert wave_lines(tmp_path) == []


def raising(error, module="stemcore.runtime.simulate"):
    """A function that raises ``error`` as one of ``module`` does."""
    names = {"__name__": module, "error": error}
    exec("def simulate(settings, **options):\n    raise error", names)
    return names["simulate"]


@pytest.mark.parametrize(
    "error",
    [
        CompileError("conv", "reason", "way out"),
        ModelError("unknown"),
        ToolError("g++: program not found"),
        ValueError("IMAGES: .."),
        FileNotFoundError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_return_two_and_one_message(monkeypatch, capsys, error):
    monkeypatch.setattr("stemcore.runtime.simulate.simulate", raising(error))
    assert main(["sim"]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"error: {error}\n"


def fall_out_of_numpy(settings, **options):
    np.zeros(3).reshape(2, 2)


@pytest.mark.parametrize(
    ("simulate", "said"),
    [
        (raising(AssertionError("an invariant")), "AssertionError: an invariant"),
        (raising(ValueError("a shape"), "numpy.linalg"), "ValueError: a shape"),
        (fall_out_of_numpy, "ValueError: cannot reshape array of size 3"),
        (raising(KeyError("lost")), "KeyError: 'lost'"),
        (raising(EngineError("net: the mesh must come to rest")), "net: the mesh must come to"),
    ],
    ids=["assert", "library", "extension", "key", "engine"],
)
def test_mistakes_of_ours_are_called_so_and_kept(monkeypatch, capsys, tmp_path, simulate, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stemcore.runtime.simulate.simulate", simulate)
    assert main(["sim", "--model", "digits_cnn"]) == 70
    first, second, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith(f"bug: {said}")
    assert rest == []
    (path,) = (tmp_path / "sim_build").iterdir()
    assert second.endswith(f"Please report it with {path}")
    text = path.read_text()
    assert "command    stemcore sim --model digits_cnn\n" in text
    assert "Traceback (most recent call last)" in text
    assert said in text


def test_interrupt_returns_130_and_one_line(monkeypatch, capsys):
    ended = []
    monkeypatch.setattr("stemcore.runtime.simulate.simulate", raising(KeyboardInterrupt()))
    # Else it would end what other tests of this process have left running for those to come.
    monkeypatch.setattr("stemcore.runtime.toolchain.process.end_all", lambda: ended.append("all"))
    assert main(["sim"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert ended == ["all"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sim", "--mesh", "3"], r"argument --mesh: must be columns x rows such as 6x6, got '3'"),
        (["sim", "--mesh", "-1x2"], r"argument --mesh: "),
        (["sim", "--waves", "0,1;2"], r"argument --waves: must be all, or nodes X,Y\[;X,Y\.\.\]"),
        (["sim", "--threads", "0"], r"argument --threads: must be 1 to 8, got '0'"),
        (["sim", "--preset", "huge"], r"argument --preset: invalid choice: 'huge' \(choose from"),
        (["sim", "--sim", "questa"], r"argument --sim: invalid choice: 'questa'"),
        (["sim", "--sim", "verilatr"], r"argument --sim: invalid.*\); did you mean verilator\?"),
        (["sim", "--integration", "lat"], r"argument --integration: .*\); did you mean late\?"),
        (["sim", "--ima", "3"], r"unrecognized arguments: --ima 3; did you mean --images\?"),
        (["sim", "--images", "two"], r"argument --images: invalid int value: 'two'"),
        (["sim", "--imgaes", "2"], r"unrecognized arguments: --imgaes 2; did you mean --images\?"),
        (["sim", "--image", "2"], r"unrecognized arguments: --image 2; did you mean --images\?"),
        (
            ["simulate"],
            r"COMMAND: must be one of check, .*, sim, .*, got 'simulate'; did you mean sim\?",
        ),
        (["sparsefy"], r"COMMAND: .*, got 'sparsefy'; did you mean sparsify\?"),
        ([], r"a COMMAND is required; --help lists them"),
    ],
)
def test_words_that_make_no_command_are_refused(capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert re.search(rf"^stemcore.*: error: {message}", capsys.readouterr().err, re.MULTILINE)


def test_check_prints_figures(monkeypatch, capsys):
    seen = []

    def check_all(settings, *, n_images, say, progress):
        seen.append((settings.model, n_images))
        say("compare      5 images")
        progress(5)(5, 0)
        return {"images": n_images, "quantized": 1.0}

    monkeypatch.setattr("stemcore.runtime.check.check_all", check_all)
    assert main(["check", "--model", "digits_cnn", "--images", "5"]) == 0
    assert seen == [("digits_cnn", 5)]
    out, err = capsys.readouterr()
    assert json.loads(out) == {"images": 5, "quantized": 1.0}
    assert err.splitlines()[:2] == [
        "load         the compiler and its libraries",
        "compare      5 images",
    ]
    assert re.fullmatch(r"compare      5 images, \d+\.\d s", err.splitlines()[2])


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ([], HostSides()),
        (["--axi", "32"], HostSides(axi=32)),
        (["--uart", "25", "--mapped"], HostSides(uart=25, mapped=True)),
        (["--mapped=1"], HostSides(mapped=True)),
        (["--mapped=0"], HostSides()),
        (["--axi", "64", "--codec"], HostSides(axi=64, codec=CodecParams())),
        (["--mapped", "--codec=0"], HostSides(mapped=True)),
        (["--uart=25", "--codec=512"], HostSides(uart=25, codec=CodecParams(512, 512))),
    ],
)
def test_verilog_passes_its_options_and_names_its_folder(monkeypatch, capsys, options, sides):
    asked = []

    def write_verilog(settings, n_images, say, sides):
        asked.append((n_images, sides))
        return Path("made") / settings.model

    monkeypatch.setattr("stemcore.runtime.write_verilog.write_verilog", write_verilog)
    assert main(["verilog", "--model", "digits_cnn", "--images", "2", *options]) == 0
    assert asked == [(2, sides)]
    assert capsys.readouterr().out.splitlines() == [
        "load         the compiler and its libraries",
        "verilog      made/digits_cnn",
    ]


def test_verilog_refuses_a_switch_that_is_neither(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["verilog", "--model", "digits_cnn", "--mapped=yes"])
    assert raised.value.code == 2
    told = capsys.readouterr().err
    assert "--mapped: must be 1 or 0, or have no value, got 'yes'" in told


@pytest.mark.parametrize(
    ("value", "told"),
    [("yes", "must be 0, 1 or a number of values"), ("1000", "must be a power of two in 8..32768")],
)
def test_verilog_refuses_a_codec_that_there_is_not(capsys, value, told):
    with pytest.raises(SystemExit) as raised:
        main(["verilog", "--model", "digits_cnn", f"--codec={value}"])
    assert raised.value.code == 2
    assert f"--codec: {told}, got" in capsys.readouterr().err


def test_verilog_refuses_a_codec_beside_the_bare_port(capsys):
    assert main(["verilog", "--model", "digits_cnn", "--codec"]) == 2
    assert "codec: must lie in a host side, none came" in capsys.readouterr().err


def test_verilog_refuses_a_bit_of_too_few_cycles(capsys):
    assert main(["verilog", "--model", "digits_cnn", "--uart", "3"]) == 2
    assert "uart: a bit must last 8 cycles of the clock or more, got 3" in capsys.readouterr().err


def test_check_shows_a_difference(monkeypatch, capsys):
    def check_all(settings, *, n_images, say, progress):
        raise Difference("conv: image 0, neuron ...")

    monkeypatch.setattr("stemcore.runtime.check.check_all", check_all)
    assert main(["check", "--model", "digits_cnn"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "DIFFERENT    conv: image 0, neuron ..."


def test_sparsify_passes_its_options_and_points_to_its_files(monkeypatch, capsys, tmp_path):
    calls = []
    report = {
        "best": "rd",
        "none": {"test": {"accuracy": 0.9, "sops": 2e6, "spikes": 1e3, "cycles": 8e3}},
        "chosen": {
            "rd": {
                "test": {
                    "accuracy": 0.89,
                    "loss_error": 0.0042,
                    "sops": 1e6,
                    "spikes": 5e2,
                    "cycles": 6e3,
                }
            }
        },
    }

    def sparsify(settings, **options):
        calls.append((settings, options))
        return report, tmp_path

    monkeypatch.setattr("stemcore.runtime.sparsify.search.sparsify", sparsify)
    words = ["sparsify", "--model", "digits_cnn", "--budget", "1", "--scheme", "rd"]
    assert main([*words, "--cost", "cycles", "--cluster", "local:3"]) == 0
    assert main(["sparsify"]) == 0
    (settings, options), (_, defaults) = calls
    assert settings.model == "digits_cnn"
    assert (options["budget"], options["schemes"]) == (1.0, ["rd"])
    assert (options["cost"], options["cluster"]) == ("cycles", "local:3")
    assert (defaults["budget"], defaults["schemes"]) == (0.5, ("hybrid", "rd"))
    assert (defaults["cost"], defaults["cluster"]) == ("sops", "none")
    shown = capsys.readouterr().out
    assert "| rd | 89.00 % | +1.00 | 0.42 | -50.0 % | -50.0 % | -25.0 % |" in shown
    assert f"tables       {tmp_path / 'tables.json'} (rd)" in shown
