# SPDX-License-Identifier: Apache-2.0
"""The house rules that a syntax tree shows: who imports whom, licence lines."""

import ast
import sys
import tomllib
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
    "runtime/commands": {"golden", "hdl", "compiler", "models", "runtime", "benchmarks"},
    "stemcore": {"golden", "hdl", "compiler", "models", "runtime"},
}
# Inner rooms, each of which imports only those before it.
GOLDEN_ROOMS = ("spec", "arithmetic", "network", "program", "reference")
COMPILER_ROOMS = (
    "frontend",
    "frontends",
    "quantization",
    "sparsity",
    "lowering",
    "mapping",
    "assembly",
    "estimation",
    "virtual",
)
RUNTIME_ROOMS = ("toolchain", "host", "native", "engines")  # reports and commands stand on them
RUNTIME_BESIDE = {"errors", "progress"}
COMPILER_BESIDE = {
    "input_parts",
    "errors",
    "activity",
    "archive",
    "input_map",
    "records",
}  # what all of them may read
TORCH_IN_COMPILER = ("capture", "quantize", "run_graph", "torch_")
# Operators need torch for their references alone, and import it where these run.
TORCH_IN_FUNCTIONS = "compiler/frontend/ops"
SOURCES = [path for room in (*ROOMS, "stemcore") for path in sorted((ROOT / room).rglob("*.py"))]


def _name(path):
    return str(path.relative_to(ROOT))


def imported_modules(path: Path) -> set[str]:
    """Names of all modules that a file imports, anywhere in it, without ``stemcore.`` in front.

    ``from room import module`` counts as room.module where there is such a file.
    """
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("stemcore.") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            module = module.removeprefix("stemcore.")
            folder = ROOT / module.replace(".", "/")
            for alias in node.names:
                inner = (folder / alias.name).with_suffix(".py")
                is_module = inner.is_file() or (folder / alias.name / "__init__.py").is_file()
                found.add(f"{module}.{alias.name}" if is_module else module)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_source_imports_only_rooms_below_it(path):
    parts = path.relative_to(ROOT).parts
    # The command line stands above everything, also where it lies in a room.
    room = "runtime/commands" if parts[:2] == ("runtime", "commands") else parts[0]
    for module in imported_modules(path):
        other = module.split(".")[0]
        if other in ROOMS and other != parts[0]:
            assert other in MAY_IMPORT[room], f"{path}: {room} must not import {module}"
            if room == "hdl":
                assert module.startswith("golden.spec"), f"{path}: hdl must not import {module}"


@pytest.mark.parametrize(
    ("house", "room", "beside"),
    [
        *(("golden", room, set()) for room in GOLDEN_ROOMS),
        *(("compiler", room, COMPILER_BESIDE) for room in COMPILER_ROOMS),
        *(("runtime", room, RUNTIME_BESIDE) for room in RUNTIME_ROOMS),
    ],
)
def test_inner_rooms_import_only_rooms_before_them(house, room, beside):
    orders = {"golden": GOLDEN_ROOMS, "compiler": COMPILER_ROOMS, "runtime": RUNTIME_ROOMS}
    rooms = orders[house]
    may_import = {*rooms[: rooms.index(room) + 1], *beside}
    paths = list((ROOT / house / room).rglob("*.py"))
    assert paths
    for path in paths:
        for module in imported_modules(path):
            parts = module.split(".")
            if parts[0] == house:
                assert parts[1] in may_import, f"{path}: {room} must not import {module}"


NEURON_FOLDERS = ("golden/spec/neurons", "compiler/lowering/neurons", "hdl/core/neurons")
# What everybody starts from: layers are exact until a pass gives them another model.
KNOWS_EXACT = {"golden/network/network.py", "compiler/lowering/reach.py"}


@pytest.mark.medium
def test_a_neuron_model_is_three_files_and_nobody_else_knows_it():
    folders = [ROOT / folder for folder in NEURON_FOLDERS]
    names = [{path.stem for path in folder.glob("*.py")} - {"__init__"} for folder in folders]
    assert names[0] == names[1] == names[2] >= {"exact", "late", "scaled"}
    for path in SOURCES:
        if path.parent in folders:
            continue
        for module in imported_modules(path):
            known = next((n for n in names[0] if module.endswith(f"neurons.{n}")), None)
            may = known is None or (known == "exact" and _name(path) in KNOWS_EXACT)
            assert may, f"{path}: must ask the model's properties, imports {module}"


def test_golden_has_no_files_outside_its_rooms():
    assert {path.name for path in (ROOT / "golden").glob("*.py")} == {"__init__.py"}


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.is_relative_to(ROOT / "compiler")], ids=_name
)
def test_torch_stays_in_the_compilers_front(path):
    if path.is_relative_to(ROOT / TORCH_IN_FUNCTIONS):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                assert not any(alias.name.split(".")[0] == "torch" for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "torch"
    elif not path.stem.startswith(TORCH_IN_COMPILER):
        assert not any(module.split(".")[0] == "torch" for module in imported_modules(path))


@pytest.mark.parametrize("path", sorted((ROOT / "golden/spec").rglob("*.py")), ids=_name)
def test_the_specification_needs_the_standard_library_only(path):
    others = {module.split(".")[0] for module in imported_modules(path)} - {"golden"}
    assert others <= set(sys.stdlib_module_names)


def test_every_package_is_listed_for_installation():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in SOURCES}
    names = {
        ".".join(folder.parts if folder.parts[0] == "stemcore" else ("stemcore", *folder.parts))
        for folder in folders
    }
    assert set(listed) == names


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_source_states_its_licence(path):
    text = path.read_text()
    assert not text or text.startswith("# SPDX-License-Identifier: Apache-2.0\n")
