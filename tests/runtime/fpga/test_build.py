# SPDX-License-Identifier: Apache-2.0
"""From figures of the tools to a board's report; the tools themselves have their slow test."""

import json

import pytest

from stemcore.golden.spec.uart_frames import MAX_FLITS
from stemcore.runtime.fpga import build as module
from stemcore.runtime.fpga.build import build, describe, make_design, next_steps, table
from stemcore.runtime.fpga.page import page
from stemcore.runtime.fpga.placement import component, timing
from stemcore.runtime.fpga.rates import line_seconds
from tests.support.board_figures import FIGURES, placement


def test_report_has_the_spread_over_seeds_and_the_fastest():
    placements = [placement(1, 80.0), placement(2, 91.0), placement(3, 76.0)]
    report = describe(make_design("ulx3s"), FIGURES, placements)
    assert report["fmax_mhz"]["chip_clk"] == {
        "minimum": 76.0,
        "median": 80.0,
        "maximum": 91.0,
        "target": 75.0,
        "by_seed": {"1": 80.0, "2": 91.0, "3": 76.0},
    }
    assert (report["best_seed"], report["meets_clock"], report["nodes"]) == (2, True, [3, 1])
    assert report["baud"] == 1e6 and report["seconds"]["placements"] == [101.0, 102.0, 103.0]
    shown = table(report)
    assert "chip_clk: 76.0 / 80.0 / 91.0 MHz (minimum, median, maximum of 3 seeds)" in shown
    assert "184, 120 with their output register (184 of 208 sites)" in shown
    assert (
        "of chip_clk: delay, at, through the last cell of\n              12.50 ns  b, a<b" in shown
    )
    assert "of board: delay, at, through the last cell of\n              25.50 ns  c, d" in shown
    assert "17,700 flip-flops at 0 and 300 at 1, memories (300) hold zeros; in reset" in shown
    html = page(report)
    assert "a&lt;b" in html and "none: no placement meets the clock" in html
    assert "Slowest path of board" in html and "memories (300) hold zeros" in html


def test_clock_that_no_placement_meets_is_told():
    report = describe(make_design("ulx3s"), FIGURES, [placement(1, 74.9), placement(2, 70.0)])
    assert not report["meets_clock"] and report["bitstream"] is None and report["next"] == []


@pytest.mark.parametrize("mhz", [80.0, 60.0])
def test_bitstream_is_there_only_where_the_clock_is_met(tmp_path, monkeypatch, mhz):
    def pack(folder, seed, bitstream):
        assert seed == 1
        bitstream.write_bytes(b"bits")

    (tmp_path / "ulx3s.bit").write_bytes(b"of an earlier run")
    monkeypatch.setattr(module, "synthesise_design", lambda design: (tmp_path, FIGURES))
    monkeypatch.setattr(module, "place_design", lambda design, folder, seed: placement(seed, mhz))
    monkeypatch.setattr(module, "pack", pack)
    report, folder = build(make_design("ulx3s"), [1], say=lambda line: None)
    stored = json.loads((folder / "report.json").read_text())
    assert stored == report and (folder / "report.html").read_text() == page(report)
    met = mhz > FIGURES["clock_mhz"]
    assert (folder / "ulx3s.bit").is_file() == met == (report["bitstream"] is not None)
    assert len(report["next"]) == 2 * met


def test_next_steps_name_the_network(tmp_path):
    design = make_design("ulx3s", nodes=(2, 1))
    model = {"model": "my net.py:f", "dataset": "digits", "cores": 6}
    load, run = next_steps(design, tmp_path / "a b.bit", model)
    assert load == f"openFPGALoader --board ulx3s '{tmp_path}/a b.bit'"
    assert run == (
        "make sim MODEL='my net.py:f' PRESET=ecp5 DATASET=digits CORES_ON_CHIP=2 SIM=fpga "
        "PORT=/dev/ttyUSB0"
    )
    fast = make_design("ulx3s", nodes=(2, 1), baud=3_000_000)
    assert next_steps(fast, tmp_path, model)[1].endswith(" PORT=/dev/ttyUSB0@3000000")
    alone = next_steps(design, tmp_path, model | {"cores": 2})[1]
    assert " MESH=2x1 " in alone and "CORES_ON_CHIP" not in alone


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"board_name": "x"}, r"^board: must be one of .*ulx3s.*; got 'x'$"),
        ({"board_name": "ecp5_85f"}, r"^board: must be one whose pins are known \(arty_a7, .*"),
        ({"nodes": (4, 1)}, r"^nodes: LFE5U-85F.* holds 3 of preset ecp5 at most .*, got 4x1; .*"),
        ({"nodes": (0, 1)}, r"^nodes: columns must be 1 to 32 and rows 1 to 31, got 0x1$"),
        ({"preset": "kria"}, r"^preset: a node must fit .*, kria takes 308; presets of this .*"),
        ({"preset": "y"}, r"^preset: must be one of .*, got 'y'$"),
    ],
)
def test_design_that_cannot_be_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        make_design(**{"board_name": "ulx3s"} | words)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("core.chip.node.core.axon_out.run_TRELLIS_FF_Q_13", "core.chip.node.core.axon_out.run"),
        (
            "chip.row[0].node.core.dendrite.weights.ram.0.3",
            "chip.row[0].node.core.dendrite.weights.ram",
        ),
        ("a.b_LUT4_Z_C_LUT4_Z$drv", "a.b"),
        ("a.plain", "a.plain"),
        ("core.host.codec$176.encoder.scan$2", "core.host.codec.encoder.scan"),
    ],
)
def test_component_of_a_cell(cell, name):
    assert component(cell) == name


def test_timing_names_each_component_of_a_clock_once_and_the_latest_first():
    chip, host = "posedge $glbnet$chip_clk", "posedge clk"

    def end(cell, delay, event=chip):
        return {"cell": cell, "delay": [0.5, delay], "event": event}

    def step(net, delay):
        return {"delay": delay, "type": "logic", "net": net}

    report = {
        "fmax": {
            "$glbnet$chip_clk": {"achieved": 81.456, "constraint": 75},
            "clk": {"achieved": 40, "constraint": 25},
        },
        "utilization": {
            "DP16KD": {"used": 3, "available": 208},
            "DCUA": {"used": 0, "available": 2},
        },
        "critical_paths": [
            {"from": chip, "to": chip, "path": [step("a", 3.0)]},
            {"from": host, "to": host, "path": [step("b", 9.0)]},
            {"from": host, "to": chip, "path": [step("c", 20.0)]},
            {"from": "<async>", "to": host, "path": [step("d", 30.0)]},
        ],
        "detailed_net_timings": [
            {
                "driver": "m.ram.0.1",
                "event": chip,
                "endpoints": [end("x_TRELLIS_FF_Q", 8.0), end("y", 11.0), end("z", 13.0, host)],
            },
            {"driver": "b", "event": chip, "endpoints": [end("x_TRELLIS_FF_Q_2", 9.0)]},
            {"driver": "h", "event": host, "endpoints": [end("w", 24.0, host), end("y", 19.0)]},
            {"driver": "pin", "event": "<async>", "endpoints": [end("w", 30.0, host)]},
        ],
    }
    found = timing(report)
    assert found["fmax_mhz"] == {"chip_clk": 81.46, "clk": 40}
    assert found["target_mhz"] == {"chip_clk": 75, "clk": 25}
    assert found["device_use"] == {"DP16KD": {"used": 3, "available": 208}}
    assert found["worst_paths"] == [
        {"clock": "chip_clk", "to": "y", "delay_ns": 11.0, "through": "m.ram"},
        {"clock": "chip_clk", "to": "x", "delay_ns": 9.0, "through": "b"},
        {"clock": "clk", "to": "w", "delay_ns": 24.0, "through": "h"},
    ]
    assert found["critical_paths"] == {
        "chip_clk": ["  3.00 ns  +3.00  logic     a"],
        "clk": ["  9.00 ns  +9.00  logic     b"],
    }


def test_line_takes_ten_bits_a_byte_and_the_frames_around_the_flits():
    assert line_seconds(0, 1e6) == 0
    one = line_seconds(1, 1e6)
    assert line_seconds(MAX_FLITS, 1e6) - one == pytest.approx((MAX_FLITS - 1) * 8 * 10 / 1e6)
    assert line_seconds(2 * MAX_FLITS, 1e6) == pytest.approx(2 * line_seconds(MAX_FLITS, 1e6))
    assert line_seconds(10, 5e5) == pytest.approx(2 * line_seconds(10, 1e6))
