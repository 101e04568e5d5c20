# SPDX-License-Identifier: Apache-2.0
"""Words for values in waves, and a saved view whose signals the waves have."""

import re

import numpy as np
import pytest

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Kind, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import node_states
from stemcore.runtime.host.verilog_bench import SAVED_VIEW, write_bench
from stemcore.runtime.host.wave_view import (
    node_signals,
    saved_view,
    value_names,
    write_value_names,
)
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp
from tests.support.hand_programs import conv_chain_program

TINY = get_preset("tiny")
# The bench's waves without its run: a header has all names.
HEADER = """`timescale 1ns/1ps
module bench;
  chip dut();
  initial begin
    $dumpfile("bench.vcd");
    $dumpvars(0, bench);
    #1 $finish;
  end
endmodule
"""


def declared(vcd):
    """Signals of a VCD file, by their paths, vectors with their bits."""
    scopes, found = [], set()
    for line in vcd.split("$enddefinitions")[0].splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scopes.append(words[2])
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"]:
            found.add(".".join([*scopes, "".join(words[4:-1])]))
    return found


def test_words_are_those_of_the_specification():
    """One character a digit of the shown number, as many as the signal's bits need."""
    names = value_names(TINY)
    assert names["kind"].gtkwave().splitlines() == [f"{kind:d} {kind.name}" for kind in Kind]
    assert names["memory"].gtkwave().splitlines()[-1] == "A DESTINATION"
    assert len(names["memory"].gtkwave().splitlines()) == len(Memory)
    causes = names["causes"].gtkwave().splitlines()
    assert (causes[0], causes[-1]) == ("001 TOKEN", "400 STANDSTILL")
    assert len(causes) == len(Error)


def test_states_are_shown_by_their_wires():
    states = {
        "core.control.phase_state": {0: "STOPPED", 5: "FIRE"},
        "core.x.y_state": {0: "A", 1: "B"},
    }
    names = value_names(TINY, states)
    assert names["core.control.phase_state"].gtkwave() == "0 STOPPED\n5 FIRE\n"
    assert (names["core.control.phase_state"].width, names["core.x.y_state"].width) == (3, 1)
    view = saved_view(TINY, {"node (0, 1)": "top.a"}, states)
    assert (
        "@2022\n^4 waves/core.control.phase_state.txt\ntop.a.core.control.phase_state[2:0]" in view
    )
    assert "@2022\n^5 waves/core.x.y_state.txt\ntop.a.core.x.y_state\n" in view


def test_surfer_gets_a_name_the_width_and_the_same_words():
    lines = value_names(TINY)["causes"].surfer("stemcore causes").splitlines()
    assert lines[:3] == ["Name = stemcore causes", "Bits = 11", "1 TOKEN"]
    assert lines[-1] == "1024 STANDSTILL"
    for names in value_names(TINY).values():
        assert all(0 <= value < 1 << names.width for value in names.words)


def test_a_view_names_its_filters_where_they_are_written(tmp_path):
    write_value_names(tmp_path, TINY)
    view = saved_view(TINY, {"node (0, 1) conv": "top.a", "node (1, 1) dense": "top.b"})
    filters = re.findall(r"(?m)^@2022\n\^([1-9]) (\S+)\ntop\.[ab]\.\S+\[\d+:0\]$", view)
    assert len(filters) == 2 * sum(signal.names is not None for signal in node_signals(TINY))
    assert len({path for _, path in filters}) == len(dict(filters)) == len(value_names(TINY))
    assert all((tmp_path / path).is_file() for _, path in filters)
    assert len(list((tmp_path / ".surfer" / "mappings").iterdir())) == len(value_names(TINY))
    groups = re.findall(r"(?m)^@(\w+)\n-(.*)$", view)
    assert groups == [
        (flags, title)
        for title in ("node (0, 1) conv", "node (1, 1) dense")
        for flags in ("800200", "1000200")
    ]


@pytest.mark.sim
@pytest.mark.slow
def test_every_signal_of_the_view_is_in_the_waves_of_the_bench(tmp_path):
    program, network = conv_chain_program(5)
    images = np.zeros((1, *network.input.shape), np.int64)
    folder = write_bench(program, images, tmp_path / "chip")
    (folder / "bench.v").write_text(HEADER)
    sources = [folder / name for name in ("bench.v", "chip.v", "node.v")]
    run_vvp(compile_verilog(sources, top="bench", out_dir=tmp_path), cwd=folder)
    shown = re.findall(r"(?m)^bench\.\S+$", (folder / SAVED_VIEW).read_text())
    states = node_states(program.params)
    assert len(shown) == len(program.cores) * len(node_signals(program.params, states))
    assert states["core.control.phase_state"][0] == "STOPPED"
    assert set(states["core.axon_out.phase_state"].values()) >= {"IDLE", "FIRE", "DRAIN"}
    assert "0 IDLE\n1 FIRE\n" in (folder / "waves" / "core.axon_out.phase_state.txt").read_text()
    assert set(shown) <= declared((folder / "bench.vcd").read_text())
