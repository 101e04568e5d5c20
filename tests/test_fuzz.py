# SPDX-License-Identifier: Apache-2.0
"""``make fuzz`` names every network that differs, and runs none twice."""

import re
from pathlib import Path

import pytest

from stemcore.runtime.engines.compare import Difference
from tests import fuzz
from tests.support.random_runs import KINDS

ROOT = Path(__file__).parent.parent


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """Networks that were run; strange network 1 differs."""
    monkeypatch.chdir(tmp_path)
    found = []

    def run_random(seed, number, kind):
        found.append((seed, number, kind))
        if (number, kind) == (1, "strange"):
            raise Difference("fc: neuron 3 fired 1, must fire 0")
        return 4 + number

    monkeypatch.setattr(fuzz, "run_random", run_random)
    return found


def test_a_network_that_differs_is_named_with_its_command(runs, capsys):
    assert fuzz.main(["--seeds=3", "--seed=7"]) == 1
    assert sorted(runs) == sorted((7, number, kind) for number in range(3) for kind in KINDS)
    said = capsys.readouterr()
    assert re.search(r"^DIFFERENT    strange network 1: Difference: fc: neuron 3", said.err, re.M)
    assert "SEED=7 FIRST_NETWORK=1 RANDOM_NETWORKS=1 pytest 'tests/system/test_ran" in said.err
    assert said.err.count("DIFFERENT") == 1
    assert f"networks     {3 * len(KINDS)} of seed 7 " in said.out
    assert f"{3 * len(KINDS) - 1} equal in every spike and counter, on 6 cores at most" in said.out


def test_networks_are_run_once_for_each_seed(runs, capsys):
    assert fuzz.main(["--seeds=1"]) == 0
    assert fuzz.main(["--seeds=1"]) == 0
    assert len(runs) == len(KINDS)
    assert fuzz.main(["--seeds=1", "--seed=1"]) == 0
    assert len(runs) == 2 * len(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_that_repeats_a_network_names_a_test(kind):
    path, test = re.search(r"'(.*)::(\w+)\[", fuzz.how_to_repeat(0, 5, kind)).groups()
    assert f"def {test}(" in (ROOT / path).read_text()


def test_bad_options_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        fuzz.main(["--seeds=0"])
    with pytest.raises(SystemExit, match="2"):
        fuzz.main(["--cluster=nowhere"])
    assert "CLUSTER: must be none, local" in capsys.readouterr().err
