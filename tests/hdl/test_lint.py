# SPDX-License-Identifier: Apache-2.0
"""What linters say of the exported Verilog: nothing but what lint.vlt gives a reason for."""

import re

import pyslang
import pytest

from stemcore.folders import results
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import chip_verilog, node_blackbox, node_verilog
from stemcore.hdl.host.export import axi_host_verilog, mapped_host_verilog, uart_host_verilog
from stemcore.runtime.host.templates_text import TEMPLATES
from stemcore.runtime.host.verilog_bench import LINT_WAIVERS
from stemcore.runtime.toolchain import ToolError
from stemcore.runtime.toolchain.process import run
from stemcore.runtime.toolchain.verilator import verilator_root
from stemcore.runtime.toolchain.yosys import run_yosys

TINY = get_preset("tiny")
NAMES = ("node.v", "chip.v", "axi_chip.v")


@pytest.fixture(scope="module")
def folder():
    path = results() / "lint-tests"
    path.mkdir(parents=True, exist_ok=True)
    texts = (
        node_verilog(TINY),
        chip_verilog(TINY, columns=2, rows=2),
        axi_host_verilog(TINY, columns=2, rows=2),
    )
    for name, text in zip(NAMES, texts, strict=True):
        (path / name).write_text(text)
    (path / LINT_WAIVERS).write_text((TEMPLATES / LINT_WAIVERS).read_text())
    return path


def verilator_lint(folder, *files):
    verilator = verilator_root() / "bin" / "verilator"
    command = [verilator, "--lint-only", "-Wall", "--top-module", "axi_chip", *files]
    return run(command, cwd=folder)[1]


@pytest.mark.sim
@pytest.mark.slow
def test_verilator_says_nothing_beyond_the_waivers(folder):
    assert "%" not in verilator_lint(folder, LINT_WAIVERS, *NAMES)


@pytest.mark.sim
@pytest.mark.slow
def test_every_waiver_has_a_reason_and_is_needed(folder):
    lines = (folder / LINT_WAIVERS).read_text().splitlines()
    waived = [re.match(r"lint_off -rule (\w+)", line) for line in lines]
    for before, line, rule in zip(lines, lines[1:], waived[1:], strict=False):
        assert rule is None or before.startswith(("//", "lint_off")), line
    with pytest.raises(ToolError) as error:
        verilator_lint(folder, *NAMES)
    found = set(re.findall(r"%Warning-(\w+):", error.value.output))
    assert found == {rule[1] for rule in waived if rule}


def slang_finds(names, top):
    """Errors and warnings in files of the folder one is in: slang takes a space in a path for its
    end."""
    driver = pyslang.driver.Driver()
    driver.addStandardArgs()
    assert driver.parseCommandLine(f"slang {' '.join(names)} --top {top}")
    assert driver.processOptions()
    assert driver.parseAllSources()
    compilation = driver.createCompilation()
    driver.reportCompilation(compilation, True)
    driver.reportDiagnostics(True)
    assert [found.name for found in compilation.getRoot().topInstances] == [top]
    return driver.diagEngine.numErrors, driver.diagEngine.numWarnings


@pytest.mark.slow
def test_slang_says_nothing(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert slang_finds(NAMES, "axi_chip") == (0, 0)


@pytest.mark.slow
def test_slang_sees_what_is_wrong(folder, monkeypatch):
    monkeypatch.chdir(folder)
    wrong = (folder / "chip.v").read_text().replace("endmodule", "wire one = nowhere;\nendmodule")
    (folder / "wrong.v").write_text(wrong)
    assert slang_finds(["node.v", "wrong.v"], "chip")[0] == 1


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("preset", ["ecp5", pytest.param("artix", marks=pytest.mark.long)])
def test_nothing_is_said_of_a_node_for_a_board(folder, preset, monkeypatch):
    monkeypatch.chdir(folder)
    name = f"node-{preset}.v"
    (folder / name).write_text(node_verilog(get_preset(preset)))
    verilator = verilator_root() / "bin" / "verilator"
    lint = [verilator, "--lint-only", "-Wall", "--top-module", "node", LINT_WAIVERS, name]
    assert "%" not in run(lint, cwd=folder)[1]
    assert slang_finds([name], "node") == (0, 0)
    script = f"read_verilog {name}\nhierarchy -check -top node\nproc\ncheck -assert"
    run_yosys(script, cwd=folder, name=preset)


@pytest.mark.sim
@pytest.mark.slow
def test_yosys_finds_no_loop_no_undriven_and_no_multiply_driven_wire(folder):
    run_yosys(
        f"read_verilog {' '.join(NAMES)}\nhierarchy -check -top axi_chip\nproc\ncheck -assert",
        cwd=folder,
        name="loops",
    )


@pytest.mark.sim
@pytest.mark.slow
def test_a_chip_of_hard_macros_elaborates(folder):
    """Verilator and Yosys take the black box for the node, Yosys keeps all four; a port too few
    is seen by both.
    """
    chip, macro = (folder / name for name in ("chip.v", "node_blackbox.v"))
    macro.write_text(node_blackbox(TINY))
    verilator = verilator_root() / "bin" / "verilator"
    lint = [verilator, "--lint-only", "-Wall", "--top-module", "chip", LINT_WAIVERS]
    script = "; ".join(
        [
            f"read_verilog {macro.name} {chip.name}",
            "hierarchy -check -top chip",
            "proc",
            "opt_clean",
            "check -assert",
            "select -assert-count 4 -module chip t:node",
        ]
    )
    assert "%" not in run([*lint, macro.name, chip.name], cwd=folder)[1]
    run_yosys(script, cwd=folder, name="macro")
    # Its sizes are parameters, and those that no preset has are refused by their name.
    sized = script.replace("hierarchy -check -top chip", "hierarchy -check -top chip {}")
    larger = sized.replace("assert-count 4 -module chip", "assert-count 15").format
    run_yosys(larger("-chparam COLUMNS 5 -chparam ROWS 3"), cwd=folder, name="macro-5x3")
    assert "%" not in run([*lint, "-GCOLUMNS=5", "-GROWS=3", macro.name, chip.name], cwd=folder)[1]
    refusal = "chip_must_have_1_to_8_columns_and_1_to_7_rows"
    for wrong in ("COLUMNS 0", "COLUMNS 9", "ROWS 0", "ROWS 8"):
        with pytest.raises(ToolError, match=refusal):
            run_yosys(sized.format(f"-chparam {wrong}"), cwd=folder, name="macro-wrong")
        option = f"-G{wrong.replace(' ', '=')}"
        with pytest.raises(ToolError, match=refusal):
            run([*lint, option, macro.name, chip.name], cwd=folder)
    macro.write_text(macro.read_text().replace("  input [3:0] edges,\n", ""))
    with pytest.raises(ToolError, match="edges"):
        run([*lint, macro.name, chip.name], cwd=folder)
    with pytest.raises(ToolError, match="edges"):
        run_yosys(script, cwd=folder, name="macro")


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "host", "options"),
    [
        ("uart_chip", uart_host_verilog, {"divisor": 25}),
        ("uart_chip", uart_host_verilog, {"divisor": 8, "codec": CodecParams()}),
        ("mapped_chip", mapped_host_verilog, {}),
        ("mapped_chip", mapped_host_verilog, {"codec": CodecParams()}),
        ("axi_chip", axi_host_verilog, {"stream_width": 64, "codec": CodecParams()}),
    ],
    ids=["uart", "uart-codec", "mapped", "mapped-codec", "axi-codec"],
)
def test_nothing_is_said_of_other_host_sides(folder, name, host, options, tmp_path, monkeypatch):
    """The node is a black box here; it has its own tests."""
    monkeypatch.chdir(tmp_path)
    for kept in ("chip.v", LINT_WAIVERS):
        (tmp_path / kept).write_text((folder / kept).read_text())
    folder = tmp_path
    files = [f"{name}.v", "node_blackbox.v", "chip.v"]
    (folder / files[1]).write_text(node_blackbox(TINY))
    (folder / files[0]).write_text(host(TINY, columns=2, rows=2, **options))
    verilator = verilator_root() / "bin" / "verilator"
    lint = [verilator, "--lint-only", "-Wall", "--top-module", name, LINT_WAIVERS]
    assert "%" not in run([*lint, *files], cwd=folder)[1]
    assert slang_finds(files, name) == (0, 0)
    script = f"read_verilog {' '.join(files)}\nhierarchy -check -top {name}\nproc\ncheck -assert"
    run_yosys(script, cwd=folder)
