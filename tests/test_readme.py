# SPDX-License-Identifier: Apache-2.0
"""The Python lines of the README run as they stand."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    """Code of every Python block, in order."""
    return [match["code"] for match in BLOCK.finditer(README.read_text())]


@pytest.mark.sim
@pytest.mark.slow
def test_python_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks())
    exec(compile(code, str(README), "exec"), {"__name__": "__main__"})
    assert "every spike equal to golden" in capsys.readouterr().out
    for left in ("report.html", "net", "verilog/bench.v"):
        assert (tmp_path / left).exists(), left


def test_a_network_of_ones_own_is_compiled_in_at_most_ten_lines():
    (code,) = blocks()
    lines = [line for line in code.splitlines() if line.strip()]
    first = next(i for i, line in enumerate(lines) if "stemcore.compile(" in line)
    assert len(lines) - first <= 10
