# SPDX-License-Identifier: Apache-2.0
"""The driver in C at the gateware of a whole board."""

import shutil
import subprocess
from pathlib import Path

import pytest

from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.runtime.host.c_header import write_c_driver
from stemcore.runtime.native.simulated_board import simulated_board
from tests.support.c_programs import outputs_of, write_program
from tests.support.chip_programs import four_core_case

pytestmark = [pytest.mark.sim, pytest.mark.slow]
MAIN = Path(__file__).parent.parent / "support" / "c_driver.c"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The program of c_driver.c."""
    folder = tmp_path_factory.mktemp("c")
    write_c_driver(folder)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler must be there, as for the native engine"
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic-errors"]
    own = [compiler, *flags, "-ffreestanding", "-c", "stemcore.c"]
    subprocess.run(own, cwd=folder, check=True)
    calls = subprocess.run(["nm", "-u", "stemcore.o"], cwd=folder, check=True, capture_output=True)
    names = {line.split()[-1] for line in calls.stdout.decode().splitlines()}
    assert names <= {"memset", "memcpy", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    main = [compiler, "-std=c99", "-O2", "-Wall", "-Werror", "-I.", str(MAIN), "stemcore.o"]
    subprocess.run([*main, "-o", "driver"], cwd=folder, check=True)
    return folder / "driver"


@pytest.mark.parametrize("damage", [0, 1000])
@pytest.mark.parametrize("number", [0, 1])
def test_c_driver_runs_a_network(driver, number, damage, tmp_path):
    network, program, images = four_core_case(number)
    write_program(tmp_path / "program", program, images)
    sizes = {"columns": program.columns, "rows": program.rows}
    with simulated_board(program.params, engines(), **sizes, damage=damage) as port:
        words = [driver, port, tmp_path / "program", tmp_path / "flits"]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran
    errors, n_damaged, n_repeats = map(int, ran.stdout.split())
    assert errors == 0 and (n_damaged + n_repeats > 0) == (damage > 0)
    golden = run_network(network, images, acc_width=program.params.acc_width)
    got = outputs_of(tmp_path / "flits", program, len(images))
    assert (got == golden[program.output].reshape(got.shape)).all()


def test_c_driver_says_that_nobody_answers(driver, tmp_path):
    import os

    _, program, images = four_core_case(0)
    write_program(tmp_path / "program", program, images)
    ours, theirs = os.openpty()
    words = [driver, os.ttyname(theirs), tmp_path / "program", tmp_path / "flits"]
    ran = subprocess.run(words, capture_output=True, timeout=30)
    os.close(ours)
    os.close(theirs)
    assert ran.returncode == 2  # STEMCORE_SILENT
