# SPDX-License-Identifier: Apache-2.0
"""The meshes that are timed: all nodes are busy, and both engines take the same cycles."""

import numpy as np
import pytest

from stemcore.benchmarks.meshes import (
    build_chip,
    busy_program,
    chip_speed,
    native_speed,
    one_node_program,
    write_host_file,
)
from stemcore.folders import engines
from stemcore.golden.reference.program_engine import run_program
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.native.build import build

OUT = engines()


@pytest.mark.long
@pytest.mark.sim
def test_one_node_computes_its_convolution():
    program, images = one_node_program("tiny")
    got = run_engine("verilator", program, images[:2], out_dir=OUT)
    np.testing.assert_array_equal(got.outputs, run_program(program, images[:2]).outputs)
    assert got.outputs.any()


@pytest.mark.sim
@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (2, 2), (4, 3)])
def test_all_nodes_of_a_busy_mesh_are_stepped(columns, rows):
    program, images = busy_program(columns, rows, "tiny")
    speed = native_speed(build(program.params, OUT), program, images[:2])
    assert speed.seconds > 0
    assert 0.95 * columns * rows < speed.node_cycles / speed.cycles <= columns * rows


@pytest.mark.long
@pytest.mark.sim
@pytest.mark.slow
def test_whole_chip_takes_the_cycles_of_the_native_engine(tmp_path):
    program, images = busy_program(2, 2, "tiny")
    native = native_speed(build(program.params, OUT), program, images[[0, 0]])
    chip = chip_speed(build_chip(program, tmp_path), program, images[0], 2)
    assert chip.cycles == native.cycles
    assert chip.node_cycles == 4 * chip.cycles


def test_host_file_keeps_every_bit_of_a_flit(tmp_path):
    flits = np.array([(1 << 63) - 1, (1 << 58) + 1], np.uint64)
    write_host_file(tmp_path / "flits.bin", [flits, flits[:1]], [7])
    words = np.fromfile(tmp_path / "flits.bin", "<u8").tolist()
    assert words == [2, *flits.tolist(), 1, int(flits[0]), 7]


@pytest.mark.sim
def test_mesh_that_does_not_fire_is_not_timed():
    program, images = busy_program(1, 1, "tiny")
    with pytest.raises(RuntimeError, match=r"^conv: must come to an end and fire; status 0$"):
        native_speed(build(program.params, OUT), program, 0 * images[:1])
