# SPDX-License-Identifier: Apache-2.0
"""The tools, on the smallest board: from a chip to a bitstream."""

import json

import pytest

from stemcore.runtime.fpga.build import build, make_design


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.sim
def test_smallest_chip_becomes_a_bitstream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    design = make_design("ulx3s_25f", preset="tiny", clock_mhz=25.0)
    said = []
    # One node: more of them take longer, and nothing else.
    report, folder = build(
        make_design("ulx3s_25f", preset="tiny", nodes=(1, 1), clock_mhz=25.0), [1], say=said.append
    )
    assert design.columns * design.rows > 1 and report["nodes"] == [1, 1]
    bits = (folder / "ulx3s_25f.bit").read_bytes()
    assert b"LFE5U-25F" in bits[:200] and len(bits) > 50_000
    assert report["meets_clock"] and report["fmax_mhz"]["chip_clk"]["minimum"] > 25
    assert all(report["block_registers"].values())
    for clock in ("chip_clk", "clk"):
        delays = [path["delay_ns"] for path in report["worst_paths"] if path["clock"] == clock]
        assert len(delays) == 10
        assert delays == sorted(delays, reverse=True) and 0 < delays[0] < 40
        assert len(report["critical_paths"][clock]) > 1
    assert report["power_on"]["flip_flops"]["1"] > 0
    assert report["power_on"]["block_memories"]["all"] == report["cells"]["DP16KD"]
    assert report["power_on"]["block_memories"]["with_contents"] == 0
    assert json.loads((folder / "report.json").read_text()) == report
    # A second run finds everything done.
    again, _ = build(
        make_design("ulx3s_25f", preset="tiny", nodes=(1, 1), clock_mhz=25.0), [1], say=said.append
    )
    assert again == report
