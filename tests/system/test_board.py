# SPDX-License-Identifier: Apache-2.0
"""The driver at the gateware of a whole board: simulated, behind a pseudo-terminal."""

import json
import re
import shlex
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import pytest

from stemcore.compiler.virtual.chip import virtual_chip
from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.host_registers import HOST_REGISTERS, IDENTITY
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.runtime.commands.main import main
from stemcore.runtime.engines.compare import chip_difference
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.errors import EngineError
from stemcore.runtime.fpga.build import make_design, run_command
from stemcore.runtime.host.board import CODEC, Board
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.ports import open_port
from stemcore.runtime.host.transport import PortError
from stemcore.runtime.native.simulated_board import simulated_board, simulated_mapped_board
from stemcore.runtime.settings import Settings, chip_params
from tests.support.chip_programs import four_core_case
from tests.support.edit_program import with_register

pytestmark = [pytest.mark.sim, pytest.mark.slow]
TINY = get_preset("tiny")


@pytest.fixture(scope="module")
def board():
    """The port of a chip of 2 x 2 small nodes."""
    with simulated_board(TINY, engines(), columns=2, rows=2) as port:
        yield port


def check_run(case, port):
    """Runs a random network; every spike that comes out, and every core's counters."""
    network, program, images = case
    ran = run_engine("fpga", program, images, port=port)
    golden = run_network(network, images, acc_width=program.params.acc_width)
    model = run_engine("program", program, images)
    assert chip_difference(program, golden, ran, ("golden", "board"), model) is None
    assert ran.only_outputs and set(ran.counters) == {(c.x, c.y) for c in program.cores}
    return ran.notes


@pytest.mark.parametrize("number", [0, 1, 2])
def test_random_networks_run_on_a_board(board, number):
    notes = check_run(four_core_case(number), board)
    assert notes["line_damaged_in"] == notes["line_silences"] == 0


def test_cores_take_turns_on_a_board(board):
    """A program of more cores than are used: groups of two, each loaded and compared."""
    network, program, images = four_core_case(0)
    chip = virtual_chip(program, 2, batch=3)
    ran = run_engine("fpga", program, images, chip=chip, port=board)
    golden = run_network(network, images, acc_width=program.params.acc_width)
    assert chip_difference(program, golden, ran, ("golden", "board")) is None
    assert len(chip.parts) > 1


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_bytes_change_nothing(seed):
    with simulated_board(TINY, engines(), columns=2, rows=2, damage=2000, seed=seed) as port:
        notes = check_run(four_core_case(seed), port)
    assert notes["line_damaged_in"] > 0 and notes["line_asked_again"] > 0


def test_a_host_that_stalls_changes_nothing(board):
    """Amid configuration, answers and samples the host looks away."""
    network, program, images = four_core_case(3)
    with open_port(board) as port:
        receive, calls = port.receive, []

        def sleepy(wait):
            calls.append(wait)
            if len(calls) % 5 == 1:
                time.sleep(0.15)
            return receive(wait)

        port.receive = sleepy
        ran = Board(port).run(program, images)
    golden = run_network(network, images, acc_width=program.params.acc_width)
    assert (ran.outputs == golden[program.output].reshape(ran.outputs.shape)).all()
    assert len(calls) > 10


def break_off(case, port):
    """A run that its client ends after the first image."""
    _, program, images = case

    class Stop(Exception):
        pass

    def stop(done, cycles):
        if done == 1:
            raise Stop

    with pytest.raises(Stop):
        run_engine("fpga", program, images, port=port, progress=stop)


def test_a_run_that_was_broken_off_is_dropped(board):
    """The next driver finds flits under way, cores at work, and a chip that it resets."""
    break_off(four_core_case(0), board)
    check_run(four_core_case(1), board)


def test_a_program_that_waits_for_ever_is_explained(board):
    _, program, images = four_core_case(0)
    stuck = with_register(program, 0, Control.N_SOURCES, 9)
    with open_port(board) as port, pytest.raises(EngineError, match="no flit has passed") as raised:
        Board(port, standstill_s=1).run(stuck, images)
    assert "of 9 END from the host" in str(raised.value)
    check_run(four_core_case(0), board)


def test_two_drivers_at_one_board_do_not_mix(board):
    with open_port(board) as first:
        first.restart()
        with pytest.raises(PortError, match="must be free, and another program drives the board"):
            open_port(board)
        assert first.read(HOST_REGISTERS["IDENTITY"].offset) == IDENTITY


def test_a_board_that_is_not_there_is_told_of_before_anything_takes_long(tmp_path, capsys):
    words = ["sim", "--model", "digits_cnn", "--sim", "fpga", "--port", str(tmp_path / "ttyUSB9")]
    assert main(words) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "must be a serial port, there is no such file" in told and "model " not in told


def test_a_board_of_another_preset_is_told_of_before_anything_takes_long(board, capsys):
    assert main(["sim", "--model", "digits_cnn", "--sim", "fpga", "--port", board]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert (
        "the chip must have the sizes of the preset that was chosen, got lanes 4 (not 32)" in told
    )
    assert "model " not in told


def test_a_board_that_is_unplugged_amid_a_run_is_told_of():
    """The terminal closes when half of the images are done."""
    _, program, images = four_core_case(0)
    with ExitStack() as stack:
        port = stack.enter_context(simulated_board(TINY, engines(), columns=2, rows=2))

        def unplug(done, cycles):
            if done == 2:
                stack.close()

        with pytest.raises(PortError, match=r"^\S+: (must stay open, got|the board must answer)"):
            run_engine("fpga", program, images, port=port, progress=unplug)


def test_another_preset_is_refused(board):
    _, program, images = four_core_case(0)
    other = replace(program, params=get_preset("sim32"))
    with pytest.raises(PortError, match=f"^{board}: the chip must have the sizes that"):
        run_engine("fpga", other, images, port=board)


@pytest.fixture(scope="module")
def mapped():
    """The port of a chip of 2 x 2 small nodes in memory."""
    with simulated_mapped_board(TINY, engines(), columns=2, rows=2) as port:
        yield port


@pytest.mark.parametrize("number", [0, 1, 2])
def test_random_networks_run_on_a_chip_in_memory(mapped, number):
    check_run(four_core_case(number), mapped)


def test_a_broken_run_on_a_chip_in_memory_is_dropped(mapped):
    _, program, images = four_core_case(0)
    stuck = with_register(program, 0, Control.N_SOURCES, 9)
    with open_port(mapped) as port, pytest.raises(EngineError, match="no flit has passed"):
        Board(port, standstill_s=0.5).run(stuck, images)
    check_run(four_core_case(1), mapped)


def test_a_refused_access_to_a_chip_in_memory_says_so(mapped):
    with open_port(mapped) as port, pytest.raises(PortError, match=r"WRITE .* 0x0 .* response 2"):
        port.write(0, 1)


@pytest.fixture(scope="module")
def coded():
    """As ``board``, with a spike codec beside the port."""
    codec = CodecParams(n_values=512, n_outputs=512)
    with simulated_board(TINY, engines(), columns=2, rows=2, codec=codec) as port:
        yield port


@pytest.mark.parametrize("number", [0, 1, 2])
def test_random_networks_run_beside_a_codec(coded, number):
    """Bytes of images in, bytes of outputs out: every value, and every core's counters."""
    notes = check_run(four_core_case(number), coded)
    assert notes["samples"] == CODEC
    plain = Host(program := four_core_case(number)[1])
    flits = sum(len(plain.sample(image)) for image in four_core_case(number)[2])
    assert notes["bytes_in"] < 8 * (flits + 8 * len(program.cores))


def test_cores_take_turns_beside_a_codec(coded):
    """What a group fires of several layers comes out as bytes, and goes into the next as bytes."""
    network, program, images = four_core_case(0)
    chip = virtual_chip(program, 2, batch=3)
    ran = run_engine("fpga", program, images, chip=chip, port=coded)
    golden = run_network(network, images, acc_width=program.params.acc_width)
    assert chip_difference(program, golden, ran, ("golden", "board")) is None


def test_a_program_too_large_for_the_codec_goes_as_flits(board):
    codec = CodecParams(n_values=8, n_outputs=8)
    with simulated_board(TINY, engines(), columns=2, rows=2, codec=codec) as port:
        notes = check_run(four_core_case(0), port)
    assert re.match(r"as flits: .* has room for 8 values of a sample, \d+ are", notes["samples"])
    assert check_run(four_core_case(0), board)["samples"].endswith("the board has no spike codec")


def test_a_standstill_beside_a_codec_is_explained(coded):
    """Samples that wait are dropped, so that cores can be asked."""
    _, program, images = four_core_case(0)
    stuck = with_register(program, 0, Control.N_SOURCES, 9)
    with open_port(coded) as port, pytest.raises(EngineError, match="no flit has passed") as raised:
        Board(port, standstill_s=1).run(stuck, images)
    assert "of 9 END from the host" in str(raised.value)
    check_run(four_core_case(0), coded)


def test_a_run_that_was_broken_off_beside_a_codec_is_dropped(coded):
    """Half a sample is in the encoder, or in the decoder, when the next driver comes."""
    break_off(four_core_case(2), coded)
    check_run(four_core_case(1), coded)


BOARDS = {
    "uart": simulated_board,
    "damaged": partial(simulated_board, damage=100, codec=CodecParams()),
    "axi": partial(simulated_mapped_board, codec=CodecParams()),
}


@pytest.mark.parametrize("kind", BOARDS)
def test_digits_run_on_a_board(kind, tmp_path, monkeypatch):
    """The command that a user types, with the network's own preset on 3 x 2 nodes."""
    out_dir = engines()
    monkeypatch.chdir(tmp_path)
    params = chip_params(Settings("digits_cnn"))
    with BOARDS[kind](params, out_dir, columns=3, rows=2) as port:
        words = ["--images", "4", "--accuracy-images", "4"]
        assert main(["sim", "--model", "digits_cnn", "--sim", "fpga", "--port", port, *words]) == 0
    report = json.loads((tmp_path / "sim_build/digits_cnn-digits/report.json").read_text())
    assert report["bit_exact"]["golden_rtl"] is True
    assert report["accuracy"]["rtl"] is not None
    samples = report["board"]["samples"]
    assert samples == CODEC if kind != "uart" else samples.startswith("as flits")


def test_digits_run_on_the_nodes_of_a_ulx3s_as_its_report_says(tmp_path, monkeypatch):
    """Three nodes, on which six cores take turns; the command is the one that `make fpga` ends
    with, at the simulated board's port."""
    out_dir = engines()
    monkeypatch.chdir(tmp_path)
    design = make_design("ulx3s")
    command = run_command(design, {"model": "digits_cnn", "dataset": "digits", "cores": 6})
    make, sim, *given = shlex.split(command)
    assert (make, sim, len(given)) == ("make", "sim", 6)
    sizes = {"columns": design.columns, "rows": design.rows}
    with simulated_board(design.params, out_dir, **sizes) as port:
        words = []
        for name, _, value in (word.partition("=") for word in given):
            words += [f"--{name.lower().replace('_', '-')}", port if name == "PORT" else value]
        assert main(["sim", *words, "--images", "4", "--accuracy-images", "4"]) == 0
    (path,) = tmp_path.glob("sim_build/digits_cnn-digits-ecp5*/report.json")
    report = json.loads(path.read_text())
    assert report["bit_exact"]["golden_rtl"] is True and report["accuracy"]["rtl"] is not None
    assert (design.columns, design.rows) == (3, 1)
