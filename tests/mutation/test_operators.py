# SPDX-License-Identifier: Apache-2.0
"""Faults are what they say, lie where they say, and have names that stay."""

import pytest

from tests.mutation.operators import KINDS, mutants

HARDWARE = '''"""What it is: a < b."""
class Counter:
    def elaborate(self, platform: int = 3):
        """Counts."""
        count = Signal(8)
        wire = Signal()
        with m.If(self.go & (count < self.end)):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [wire.eq(Mux(self.go, count[:4], 0)), self.o.eq(Cat(wire, count))]
        if platform > 2:
            raise ValueError(f"platform: at most {1 + 1}")
'''
PYTHON = """def add(x, y):
    low = np.zeros(3, np.int64)
    for i in range(2):
        low[0] += min(x - y, i) if x and not y else -1
    return low, True, x <= y < 5
"""


def changes(text, path):
    """(kind, before, after) of every fault."""
    return {(m.kind, m.before, m.after) for m in mutants(text.encode(), path)}


def test_faults_of_hardware():
    found = changes(HARDWARE, "hdl/core/counter.py")
    condition = "self.go & (count < self.end)"
    assert found == {
        ("width", "8", "(8) - 1"),
        ("constant", "8", "9"),
        ("reset", "Signal(8)", "Signal(8, init=1)"),
        ("condition", condition, f"(({condition}) == 0)"),
        ("condition", condition, "((self.go) | (count < self.end))"),
        ("dropped", condition, "(self.go)"),
        ("dropped", condition, "(count < self.end)"),
        ("comparison", "count < self.end", "count <= self.end"),
        ("dropped", "m.d.sync += count.eq(count + 1)", "pass"),
        ("dropped", "count + 1", "(count)"),
        ("dropped", "count + 1", "(1)"),
        ("constant", "1", "2"),
        ("dropped", "wire.eq(Mux(self.go, count[:4], 0))", "*()"),
        ("dropped", "self.o.eq(Cat(wire, count))", "*()"),
        ("order", "Mux(self.go, count[:4], 0)", "Mux(self.go, 0, count[:4])"),
        ("width", "4", "(4) - 1"),
        ("constant", "4", "5"),
        ("constant", "0", "1"),
        ("order", "Cat(wire, count)", "Cat(count, wire)"),
        ("condition", "platform > 2", "(not (platform > 2))"),
        ("comparison", "platform > 2", "platform >= 2"),
        ("constant", "2", "3"),
        ("constant", "3", "4"),  # a default; the message of an error is left alone
    }


def test_faults_of_python():
    found = changes(PYTHON, "golden/add.py")
    assert {
        ("width", "np.int64", "np.int16"),
        ("dropped", "low[0] += min(x - y, i) if x and not y else -1", "pass"),
        ("order", "min", "max"),
        ("order", "x - y", "((y) - (x))"),
        ("dropped", "x - y", "(x)"),
        ("condition", "x and not y", "(not (x and not y))"),
        ("condition", "x and not y", "((x) or (not y))"),
        ("dropped", "x and not y", "((not y))"),
        ("constant", "True", "False"),
        ("comparison", "x <= y < 5", "x < y < 5"),
        ("comparison", "x <= y < 5", "x <= y <= 5"),
    } <= found


@pytest.mark.parametrize(("text", "path"), [(HARDWARE, "hdl/a.py"), (PYTHON, "golden/a.py")])
def test_a_fault_changes_its_own_text_alone(text, path):
    source = text.encode()
    for mutant in mutants(source, path):
        changed = mutant.apply(source)
        assert changed != source
        assert changed[: mutant.start] == source[: mutant.start]
        assert changed.endswith(source[mutant.stop :])
        assert source[: mutant.start].count(b"\n") + 1 == mutant.line
        assert mutant.kind in KINDS
        assert mutant.compiles(source)


def test_names_are_unique_and_stay_while_lines_move():
    first = mutants(HARDWARE.encode(), "hdl/a.py")
    moved = mutants(b"import os\n\n\n" + HARDWARE.encode(), "hdl/a.py")
    names = [mutant.name for mutant in first]
    assert len(set(names)) == len(names)
    assert names == [mutant.name for mutant in moved]
    assert set(names).isdisjoint(m.name for m in mutants(HARDWARE.encode(), "hdl/b.py"))


def test_equal_texts_of_a_function_are_told_apart():
    source = b"def f(x):\n    return [x + 1, x + 1]\n"
    twice = [m for m in mutants(source, "golden/a.py") if m.before == "1"]
    assert [m.number for m in twice] == [0, 1]
    assert len({m.name for m in twice}) == 2


def test_a_fault_that_is_no_python_is_told():
    (mutant,) = [m for m in mutants(b"x = 1\nx += 2\n", "golden/a.py") if m.kind == "dropped"]
    assert mutant.compiles(b"x = 1\nx += 2\n")
    assert not mutant.compiles(b"x = (\nx += 2\n")
