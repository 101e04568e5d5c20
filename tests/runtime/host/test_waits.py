# SPDX-License-Identifier: Apache-2.0
"""Who waits for whom, from what cores say of themselves."""

import pytest

from stemcore.golden.spec.fields import Formats
from stemcore.runtime.host.waits import report
from tests.support.hand_programs import conv_chain_program

NOTHING = dict.fromkeys(("ends", "credits", "begun", "unfired", "firing", "granting", "held"), 0)


@pytest.fixture
def program():
    """Host, then the layer conv on (0, 1) and (1, 1), then dense on (0, 2), then the host."""
    return conv_chain_program(3)[0]


def statuses(program, **said):
    """Words of STATUS: of the cores that are named by layer and column, and nothing of others."""
    layout = Formats(program.params).status
    return {
        (core.x, core.y): layout.pack(**NOTHING | said.get(f"{core.layer}{core.x}", {}))
        for core in program.cores
    }


def test_cores_at_rest_wait_for_nobody(program):
    assert report(program, statuses(program)) == []


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (
            {"conv0": {"begun": 1}},
            ["  node (0, 1) conv waits: 0 of 1 END from the host"],
        ),
        (
            {"dense0": {"begun": 1, "ends": 1}},
            ["  node (0, 2) dense waits: 1 of 2 END from node (0, 1) conv, node (1, 1) conv"],
        ),
        (
            {"conv1": {"unfired": 1}, "dense0": {"unfired": 1, "credits": 1}},
            ["  node (1, 1) conv waits: 0 of 1 CREDIT from node (0, 2) dense"],
        ),
        (
            {"dense0": {"firing": 1, "held": 1, "begun": 1, "ends": 2}},
            ["  node (0, 2) dense waits: leave to go on from the host, which asked to hold spikes"],
        ),
        (
            {"conv0": {"begun": 1, "unfired": 1}},
            [
                (
                    "  node (0, 1) conv waits: 0 of 1 END from the host; "
                    "0 of 1 CREDIT from node (0, 2) dense"
                )
            ],
        ),
    ],
)
def test_each_wait_names_the_tokens_and_their_senders(program, said, lines):
    assert report(program, statuses(program, **said)) == lines
