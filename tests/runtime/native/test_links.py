# SPDX-License-Identifier: Apache-2.0
"""Nodes stepped one after the other are one chip: every link, every cycle, against the Verilog."""

import numpy as np
import pytest

from stemcore.golden.spec.fields import Formats
from stemcore.hdl.export import chip_verilog
from stemcore.runtime.native.build import node_sources
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp
from tests.support.chip_programs import mesh_case, stepped_case
from tests.support.hand_programs import conv_chain_program
from tests.support.links import OUT, configured, native_links, random_flits
from tests.support.random_networks import random_images

VALUES = ("i valid", "i payload", "i ready", "o valid", "o payload", "o ready")

# Plays what the host offered in every cycle, and writes down what stands on all links.
BENCH = """
module bench;
  reg clk = 0, rst = 1;
  reg [{flit}:0] offered [0:{last}];
  integer cycle, file;
  reg [{flit}:0] now = 0;
  wire host_i_ready, host_o_valid, quiet;
  wire [{flit_last}:0] host_o_payload;
  chip chip(
    .clk(clk), .rst(rst), .host_i_valid(now[{flit}]), .host_i_payload(now[{flit_last}:0]),
    .host_i_ready(host_i_ready), .host_o_valid(host_o_valid), .host_o_payload(host_o_payload),
    .host_o_ready(1'b1), .quiet(quiet));
  initial begin
    $readmemh("offered.hex", offered);
    file = $fopen("links.hex");
    repeat (2) begin #5 clk = 1; #5 clk = 0; end
    rst = 0;
    for (cycle = 0; cycle <= {last}; cycle = cycle + 1) begin
      now = offered[cycle];
      #5 $fdisplay(file, "%h %h %h %h %h %h", chip.i_valid, chip.i_payload, chip.i_ready,
                   chip.o_valid, chip.o_payload, chip.o_ready);
      clk = 1;
      #5 clk = 0;
    end
    $fclose(file);
    $finish;
  end
endmodule
"""


def verilog_links(program, links, folder):
    """Links of the chip's Verilog when its host offers the same in every cycle."""
    params, width = program.params, Formats(program.params).flit.width
    host = links[:, 0, 0]
    words = [(int(valid) << width) | int(payload) for valid, payload in host[:, :2]]
    (folder / "offered.hex").write_text("".join(f"{word:x}\n" for word in words))
    chip = chip_verilog(params, columns=program.columns, rows=program.rows)
    (folder / "chip.v").write_text(chip)
    bench = BENCH.format(flit=width, flit_last=width - 1, last=len(words) - 1)
    (folder / "bench.v").write_text(bench)
    files = [folder / "bench.v", folder / "chip.v", node_sources(params, OUT) / "node.v"]
    run_vvp(compile_verilog(files, top="bench", out_dir=folder), cwd=folder)
    got = np.zeros_like(links)
    widths = (1, width, 1, 1, width, 1)
    with (folder / "links.hex").open() as file:
        for cycle, line in enumerate(file):
            for value, (text, size) in enumerate(zip(line.split(), widths, strict=True)):
                word, mask = int(text, 16), (1 << size) - 1
                for index in range(links.shape[1] * 4):
                    got[cycle, index // 4, index % 4, value] = (word >> (index * size)) & mask
    assert cycle + 1 == len(links)
    return got


def check_links(program, wanted, got):
    """Raises at the first cycle, node, port and value that differ."""
    wrong = np.argwhere(wanted != got)
    if len(wrong):
        cycle, node, port, value = wrong[0]
        at = (int(node) % program.columns, int(node) // program.columns + 1)
        raise AssertionError(
            f"cycle {cycle}, node {at}, port {'NESW'[port]}, {VALUES[value]}: native engine "
            f"{wanted[tuple(wrong[0])]:#x}, chip {got[tuple(wrong[0])]:#x}; {len(wrong)} differ"
        )


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("conv_chain", "1x1", "2x2", "3x2", "late", "scaled"),
        pytest.param("3x3", marks=pytest.mark.long),
    ],
)
def test_every_link_is_equal_in_every_cycle(name, rng, tmp_path):
    if name == "conv_chain":
        program, network = conv_chain_program(7)
        images = random_images(rng, network, 2)
    elif name in ("late", "scaled"):
        _, program, images = stepped_case(name)
    else:
        _, program, images = mesh_case(*map(int, name.split("x")))
        images = images[:2]
    links = native_links(program, images)
    got = verilog_links(program, links, tmp_path)
    check_links(program, links, got)
    # Something happened on the links, and not all the time.
    taken = (links[..., 0] & links[..., 2]).sum(axis=(1, 2))
    assert taken.max() > (name != "1x1") and taken.min() == 0 and taken.sum() > 300


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "rows"),
    [(1, 1), (2, 2), (3, 2), (2, 3), pytest.param(3, 3, marks=pytest.mark.long)],
)
def test_every_link_is_equal_under_random_traffic(columns, rows, rng, tmp_path):
    _, program, _ = mesh_case(columns, rows)
    with configured(program) as mesh:
        for core in program.cores:
            mesh.send(mesh.host.start(core))
        mesh.send(random_flits(rng, program, 600))
        # Cores may be left with tokens and tables that keep them, or a flit, waiting for ever.
        mesh.run(limit=4000)
        links = mesh.links()
    check_links(program, links, verilog_links(program, links, tmp_path))
    taken = (links[..., 0] & links[..., 2]).sum(axis=(0, 2))
    assert (taken > 20).all(), "every node must get flits"


@pytest.mark.sim
@pytest.mark.slow
def test_one_cycles_delay_of_a_flit_would_be_found(rng, tmp_path):
    program, network = conv_chain_program(7)
    links = native_links(program, random_images(rng, network, 1))
    # The chip's host takes a rest of one cycle on the way, the engine's does not.
    rest = next(n for n, (v, _, r) in enumerate(links[:, 0, 0, :3]) if n > 200 and v and r)
    late = links.copy()
    late[rest + 1 :, 0, 0, :2] = links[rest:-1, 0, 0, :2]
    late[rest, 0, 0, 0] = 0
    got = verilog_links(program, late, tmp_path)
    message = (
        rf"^cycle {rest}, node \(0, 1\), port N, i valid: native engine 0x1, chip 0x0; \d+ differ$"
    )
    with pytest.raises(AssertionError, match=message):
        check_links(program, links, got)
