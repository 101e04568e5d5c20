# SPDX-License-Identifier: Apache-2.0
"""Presets side by side: as many lanes in all, the estimate of each, and which is fastest."""

import pytest

from stemcore.compiler.errors import CompileError
from stemcore.compiler.estimation.estimate import estimate
from stemcore.compiler.pipeline import compile_network, run_stages
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime import preset_choice
from stemcore.runtime.commands.main import main
from stemcore.runtime.prepare import compile_for_estimate
from stemcore.runtime.preset_choice import (
    PresetChoice,
    PresetEstimate,
    compare_presets,
    preset_names,
)
from stemcore.runtime.settings import Settings

ROWS = (
    PresetEstimate("sim32", 32, 12, 8 * 1024, 300.0, 200.0),
    PresetEstimate("tiny", 4, problem="fc: too wide"),
    PresetEstimate("ecp5", 16, 24, 16 * 1024, 400.0, 100.0),
    PresetEstimate("artix", 16, 24, 16 * 1024, 400.0, 100.0),
)


def test_best_has_the_shortest_interval_and_comes_first_of_equals():
    choice = PresetChoice(384, ROWS)
    assert choice.best is ROWS[2]
    told = str(choice).splitlines()
    assert told[0] == "presets, each with 384 lanes in all or fewer"
    assert "tiny: fc: too wide" in told
    assert told[-1] == "best         PRESET=ecp5 CORES=24: 2.00 times the images of sim32"


def test_names_are_checked_and_stand_once():
    assert preset_names("ecp5, sim32,ecp5") == ("ecp5", "sim32")
    with pytest.raises(ValueError, match=r"^presets: must be some of sim32, .*, got 'ecp6'$"):
        preset_names("ecp5,ecp6")


@pytest.mark.slow
def test_each_preset_has_the_lanes_of_the_first_and_its_own_estimate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, said = Settings("digits_cnn"), []
    done = compile_for_estimate(settings, lambda line: None)

    def refuses_tiny(wanted):
        if wanted.options.params.lanes == 4:
            raise CompileError("fc", "too wide", "take a larger preset")
        return run_stages(wanted)

    monkeypatch.setattr(preset_choice, "run_stages", refuses_tiny)
    choice = compare_presets(done, settings, ["sim32", "ecp5", "tiny", "darwin3"], said.append)
    own, ecp5, tiny, darwin3 = choice.rows
    assert darwin3.problem.startswith("integrates as 'scaled', which gives other results")
    n_cores = len(done.program.cores)
    assert (own.preset, own.lanes, own.cores) == ("sim32", 32, n_cores)
    assert choice.lanes == 32 * n_cores
    alone = compile_network(
        done.network, get_preset("ecp5"), activity=done.activity, cores=2 * n_cores
    )
    found = estimate(alone, done.activity)
    assert (ecp5.cores, ecp5.interval) == (len(alone.cores), found.interval)
    assert n_cores < ecp5.cores <= 2 * n_cores
    assert (tiny.cores, tiny.problem) == (0, "fc: too wide; take a larger preset")
    named = ("ecp5", "tiny")
    assert said == [f"compile      for {name}: partition, place, assemble" for name in named]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "digits_cnn", "--presets", "ecp6"], "presets: must be some of "),
        (
            ["--model", "digits_cnn", "--presets", "ecp5", "--cores-on-chip", "2"],
            "presets: must come without cores_on_chip",
        ),
        (["net", "--presets", "ecp5"], "FOLDER: must come without --presets"),
    ],
)
def test_what_cannot_be_compared_is_refused(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["estimate", *words]) == 2
    assert told in capsys.readouterr().err
