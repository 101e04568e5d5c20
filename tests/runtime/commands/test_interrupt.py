# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C on real processes, in the middle of whatever takes long."""

import signal
import time

import pytest

from tests.support.real_commands import check_interrupt as check
from tests.support.real_commands import starting


@pytest.fixture
def start(tmp_path):
    with starting(tmp_path) as begin:
        yield begin


WHO = pytest.mark.parametrize("whole_group", [False, True], ids=["process", "terminal"])


@pytest.mark.slow
@WHO
def test_interrupt_while_libraries_load(start, whole_group):
    command = start("sim", "--model", "digits_cnn", "--sim", "golden")
    command.wait_for("load         ")
    check(command, whole_group=whole_group)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_in_golden(start, number):
    command = start("sim", "--model", "tiny_vgg", "--sim", "golden", "--images", "300")
    command.wait_for("run          ")
    time.sleep(0.5)
    check(command, number, whole_group=True)


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize(
    ("stage", "whole_group"),
    [
        ("Amaranth to Verilog", False),
        ("Amaranth to Verilog", True),
        pytest.param("Verilog to C++", False, marks=pytest.mark.long),
        ("C++ to machine code", False),
    ],
)
def test_interrupt_while_the_node_is_built(start, tmp_path, stage, whole_group):
    command = start("sim", "--model", "digits_cnn", STEMCORE_CACHE=str(tmp_path / "cache"))
    command.wait_for(stage)
    time.sleep(1.0)
    check(command, whole_group=whole_group)


@pytest.mark.slow
@pytest.mark.sim
def test_interrupt_while_the_gateware_runs(start):
    command = start("sim", "--model", "tiny_vgg", "--images", "12")
    command.wait_for("memories of 16 cores")
    time.sleep(1.5)
    check(command, whole_group=False)
    assert not any(line.startswith("report") for line in command.lines)
