# SPDX-License-Identifier: Apache-2.0
"""The driver in C at the gateware of a whole board."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from stemcore.compiler.stages import CALIBRATION_IMAGES
from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.host_registers import BURST_MINOR, HOST_REGISTERS, IDENTITY, MAJOR
from stemcore.golden.spec.uart_frames import Frame, FrameKind
from stemcore.runtime.host.c_header import write_c_driver
from stemcore.runtime.native.simulated_board import simulated_board
from stemcore.runtime.prepare import prepare
from stemcore.runtime.prepared import compile_program
from stemcore.runtime.settings import Settings
from tests.support.answering_board import answer_as_chip, answering
from tests.support.c_programs import outputs_of, results_of, write_program
from tests.support.chip_programs import four_core_case

pytestmark = [pytest.mark.sim, pytest.mark.slow]
MAIN = Path(__file__).parent.parent / "support" / "c_driver.c"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """The program of c_driver.c."""
    return built(tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """The same with a fraction of a second's patience."""
    patience = ["-DSTEMCORE_ANSWER_MS=300", "-DSTEMCORE_STANDSTILL_MS=700"]
    return built(tmp_path_factory.mktemp("c"), *patience)


def built(folder, *patience):
    write_c_driver(folder)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler must be there, as for the native engine"
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic-errors"]
    own = [compiler, *flags, *patience, "-ffreestanding", "-c", "stemcore.c"]
    subprocess.run(own, cwd=folder, check=True)
    calls = subprocess.run(["nm", "-u", "stemcore.o"], cwd=folder, check=True, capture_output=True)
    names = {line.split()[-1] for line in calls.stdout.decode().splitlines()}
    assert names <= {"memset", "memcpy", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    main = [compiler, "-std=c99", "-O2", "-Wall", "-Werror", "-I.", str(MAIN), "stemcore.o"]
    subprocess.run([*main, "-o", "driver"], cwd=folder, check=True)
    return folder / "driver"


def is_plausible(damage, n_damaged, n_repeats):
    """Without damage nothing is; on a busy machine flits may be sent again all the same."""
    return n_damaged + n_repeats > 0 if damage else n_damaged == 0


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
    assert errors == 0 and is_plausible(damage, n_damaged, n_repeats)
    golden = run_network(network, images, acc_width=program.params.acc_width)
    got = outputs_of(tmp_path / "flits", program, len(images))
    assert (got == golden[program.output].reshape(got.shape)).all()


@pytest.mark.parametrize("place", ["first", "last"])
def test_c_driver_notices_a_memory_that_holds_something_else(driver, place, tmp_path):
    """Every memory of every core is read back before the cores start."""
    _, program, images = four_core_case(0)
    sizes = [
        words.size
        for core in program.cores
        for memory, words in core.memories.items()
        if memory is not Memory.CONTROL and words.size
    ]
    wrong = (0, 0) if place == "first" else (len(sizes) - 1, sizes[-1] - 1)
    write_program(tmp_path / "program", program, images, wrong=wrong)
    mesh = {"columns": program.columns, "rows": program.rows}
    with simulated_board(program.params, engines(), **mesh) as port:
        words = [driver, port, tmp_path / "program", tmp_path / "flits"]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ran.returncode == DIFFERENT and not (tmp_path / "flits").stat().st_size
    assert ran.stderr == f"memory {wrong[0]} word {wrong[1]}\n"


def test_c_driver_runs_digits(driver, tmp_path):
    """The trained network on 3 x 2 nodes of its own preset, over a line that damages bytes."""
    settings = Settings("digits_cnn")
    prepared = prepare(settings, n_train=CALIBRATION_IMAGES, n_test=4)
    program, images = compile_program(prepared), prepared.integers[:4]
    write_program(tmp_path / "program", program, images)
    with simulated_board(program.params, engines(), columns=3, rows=2, damage=100) as port:
        words = [driver, port, tmp_path / "program", tmp_path / "flits"]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran
    errors, n_damaged, n_repeats = map(int, ran.stdout.split())
    assert errors == 0 and n_damaged + n_repeats > 0
    golden = run_network(prepared.network, images, acc_width=program.params.acc_width)
    got = outputs_of(tmp_path / "flits", program, len(images))
    wanted = golden[program.output].reshape(got.shape)
    assert wanted.any() and (got == wanted).all()


CODEC = CodecParams(n_values=512, n_outputs=512)


def run_bytes(driver, port, folder, case):
    """Errors, damaged frames and repeats of a run through a codec; its outputs are golden's."""
    network, program, images = case
    write_program(folder / "bytes", program, images, CODEC)
    words = [driver, port, folder / "bytes", folder / "results"]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran
    golden = run_network(network, images, acc_width=program.params.acc_width)
    got = results_of(folder / "results", program, len(images))
    assert (got == golden[program.output].reshape(got.shape)).all()
    return map(int, ran.stdout.split())


@pytest.mark.parametrize("damage", [0, 1000])
def test_c_driver_runs_a_network_as_bytes(driver, damage, tmp_path):
    """Through a spike codec."""
    case = four_core_case(0)
    sizes = {"columns": case[1].columns, "rows": case[1].rows, "codec": CODEC, "damage": damage}
    with simulated_board(case[1].params, engines(), **sizes) as port:
        errors, n_damaged, n_repeats = run_bytes(driver, port, tmp_path, case)
    assert errors == 0 and is_plausible(damage, n_damaged, n_repeats)


def test_c_driver_ends_the_work_of_a_codec(driver, tmp_path):
    """Bytes, flits, and bytes again at one board: a reset lets flits pass."""
    case = network, program, images = four_core_case(1)
    write_program(tmp_path / "program", program, images)
    sizes = {"columns": program.columns, "rows": program.rows, "codec": CODEC}
    with simulated_board(program.params, engines(), **sizes) as port:
        run_bytes(driver, port, tmp_path, case)
        words = [driver, port, tmp_path / "program", tmp_path / "flits"]
        assert subprocess.run(words, capture_output=True, timeout=120).returncode == 0
        run_bytes(driver, port, tmp_path, case)
    golden = run_network(network, images, acc_width=program.params.acc_width)
    got = outputs_of(tmp_path / "flits", program, len(images))
    assert (got == golden[program.output].reshape(got.shape)).all()


@pytest.mark.parametrize("other", [None, CodecParams(n_values=512, n_outputs=64)])
def test_c_driver_says_that_a_board_has_no_such_codec(driver, other, tmp_path):
    _, program, images = four_core_case(0)
    write_program(tmp_path / "program", program, images, other or CODEC)
    sizes = {"columns": program.columns, "rows": program.rows, "codec": other and CODEC}
    with simulated_board(program.params, engines(), **sizes) as port:
        words = [driver, port, tmp_path / "program", tmp_path / "none"]
        ran = subprocess.run(words, capture_output=True, timeout=120)
    assert ran.returncode == NO_CODEC and not (tmp_path / "none").stat().st_size


CLOSED, SILENT, FOREIGN, STANDSTILL, NO_CODEC, DIFFERENT = 1, 2, 5, 6, 7, 8  # of stemcore.h


def board_that_takes_nothing(frame, minor=BURST_MINOR):
    """Answers everything, and never takes a flit."""
    registers = {
        "IDENTITY": IDENTITY,
        "VERSION": HOST_REGISTERS["VERSION"].layout.pack(major=MAJOR, minor=minor),
    }
    words = {HOST_REGISTERS[name].offset: word for name, word in registers.items()}
    answers = answer_as_chip(frame)
    address = frame.payload[0] if frame.kind == FrameKind.READ else None
    if address is not None:
        word = (words.get(address, 0) << 32).to_bytes(8, "little")
        answers = [replace(answers[0], payload=word)]
    return answers


def board_without_bursts(frame):
    """The same, of a release before them."""
    return board_that_takes_nothing(frame, minor=BURST_MINOR - 1)


def board_without_registers(frame):
    """Keeps its session, and answers an access with a frame that is none."""
    return [
        answer if answer.kind != FrameKind.READ else Frame(FrameKind.FLITS, session=frame.session)
        for answer in answer_as_chip(frame)
    ]


def board_of_another(frame):
    """Agrees to a session that nobody asked for."""
    return [Frame(kind=FrameKind.CONNECT, session=77)]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda frame: [], SILENT),
        (board_of_another, SILENT),
        (board_without_registers, SILENT),
        (board_that_takes_nothing, STANDSTILL),
        (board_without_bursts, FOREIGN),
    ],
    ids=["nobody", "another session", "no registers", "takes nothing", "older"],
)
def test_c_driver_comes_back_from_a_board_that_does_not_serve(impatient, answer, status, tmp_path):
    _, program, images = four_core_case(0)
    write_program(tmp_path / "program", program, images)
    with answering(answer) as port:
        words = [impatient, port, tmp_path / "program", tmp_path / "flits"]
        ran = subprocess.run(words, capture_output=True, timeout=20)
    assert ran.returncode == status


def test_c_driver_notices_a_line_that_closes(impatient, tmp_path):
    _, program, images = four_core_case(0)
    write_program(tmp_path / "program", program, images)
    ours, theirs = os.openpty()
    words = [impatient, os.ttyname(theirs), tmp_path / "program", tmp_path / "flits"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as running:
        os.read(ours, 100)  # it asks for a session
        os.close(ours)
        assert running.wait(timeout=20) == CLOSED
    os.close(theirs)
