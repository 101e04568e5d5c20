# SPDX-License-Identifier: Apache-2.0
"""The house rules that a syntax tree shows: who imports whom, licence lines."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("golden", "hdl", "compiler", "models", "runtime", "benchmarks")
MAY_IMPORT = {
    "golden": set(),
    "hdl": {"golden"},
    "compiler": {"golden"},
    "models": set(),
    "runtime": {"golden", "hdl", "compiler", "models"},
    "benchmarks": {"golden", "hdl", "compiler", "models", "runtime"},
}
# Rooms of which hdl sees only what states sizes and positions.
HDL_SEES = {"stemcore.golden.spec.params", "stemcore.golden.spec.fields", "stemcore.golden.program.program", "stemcore.golden.spec.routing"}
# Rooms of the compiler in the order in which a network goes through them.
COMPILER_ROOMS = (
    "frontend", "quantization", "sparsity", "lowering", "mapping", "assembly", "estimation",
)  # fmt: skip
COMPILER_BESIDE = {"errors", "activity", "timing"}  # what all of them may read
TORCH_IN_COMPILER = ("capture", "quantize", "run_graph")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported_modules(path: Path) -> set[str]:
    """Absolute names of all modules that a file imports, wherever in the file."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            found.add(".".join((*base, *([node.module] if node.module else []))))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_imports_only_rooms_below_it(path):
    room = path.relative_to(ROOT).parts[0]
    for module in imported_modules(path):
        other = module.split(".")[0]
        if other in ROOMS and other != room:
            assert other in MAY_IMPORT[room], f"{path}: {room} must not import {module}"
            if room == "hdl":
                assert module in HDL_SEES, f"{path}: hdl must not import {module}"


@pytest.mark.parametrize("room", COMPILER_ROOMS)
def test_compilers_rooms_import_only_rooms_before_them(room):
    may_import = {*COMPILER_ROOMS[: COMPILER_ROOMS.index(room) + 1], *COMPILER_BESIDE}
    paths = list((ROOT / "compiler" / room).rglob("*.py"))
    assert paths
    for path in paths:
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == "compiler":
                assert parts[1] in may_import, f"{path}: {room} must not import {module}"


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.is_relative_to(ROOT / "compiler")],
    ids=lambda path: str(path.relative_to(ROOT)),
)  # fmt: skip
def test_torch_stays_in_the_compilers_front(path):
    if not path.stem.startswith(TORCH_IN_COMPILER):
        assert not any(module.split(".")[0] == "torch" for module in imported_modules(path))


@pytest.mark.parametrize("name", ["params", "fields"])
def test_sizes_and_positions_need_the_standard_library_only(name):
    assert "numpy" not in imported_modules(ROOT / "golden" / f"{name}.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_states_its_licence(path):
    text = path.read_text()
    assert not text or text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
