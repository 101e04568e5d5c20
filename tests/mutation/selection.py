# SPDX-License-Identifier: Apache-2.0
"""Which faults are tried, and which tests have to notice them."""

import hashlib
import itertools
import re
import subprocess
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.operators import KINDS, Mutant, mutants

ROOMS = ("hdl", "golden", "compiler")
OWN = ("--hypothesis-profile", "fast")  # of tests that speak of the file, slow ones too
QUICK = ("-m", "not slow and not sim", "--hypothesis-profile", "fast")
RANDOM_NETWORKS = "tests/system/test_random_networks_on_rtl.py"


@dataclass(frozen=True)
class Stage:
    """Tests that run in one go, until the first one fails.

    tests : files or test names, in this order
    options : of pytest
    environment : variables, as pairs
    """

    tests: tuple[str, ...]
    options: tuple[str, ...] = QUICK
    environment: tuple[tuple[str, str], ...] = ()


# After a room's own tests: what else would notice, dearer than those.
DEEP = {
    "hdl": (
        Stage(
            (f"{RANDOM_NETWORKS}::test_random_networks_run_exactly_on_the_gateware",),
            (),
            (("RANDOM_NETWORKS", "8"),),
        ),
        Stage(("tests/formal",), ("-m", "not slow", "--hypothesis-profile", "fast")),
    ),
    "golden": (Stage(("tests/compiler/test_compile_network.py", "tests/compiler/assembly")),),
    "compiler": (Stage(("tests/golden/reference",)),),
}


def stages_of(path: str, root: Path, *, is_quick: bool = False) -> list[Stage]:
    """Tests for the file ``path``, those that speak of it first.

    The file's own tests, or where it has none, those of the files that import it; tests that import
    it; those beside it, those that import something of its folder, those of the whole room; at
    last, unless ``is_quick``, what ``DEEP`` names.
    """
    source = Path(path)
    tests = root / "tests"
    folder = tests / source.parent
    texts = {
        file: file.read_text() for file in sorted((tests / source.parts[0]).rglob("test_*.py"))
    }
    dotted = ".".join(("stemcore", *source.with_suffix("").parts))
    imports = re.compile(rf"\b{re.escape(dotted)}\b")
    siblings = re.compile(rf"\b{re.escape(dotted.rpartition('.')[0])}\b")
    own = [file for file in texts if file.parent == folder and _is_own(file, source)]
    if not own:  # part of another file's unit, and tested with that
        users = _users(root / source)
        own = [file for file in texts if any(_is_own(file, user) for user in users)]
    groups = (
        own,
        [file for file, text in texts.items() if imports.search(text)],
        [
            *(file for file in texts if file.parent == folder),
            *(file for file, text in texts.items() if siblings.search(text)),
            *(file for file in texts if file.parent == tests / source.parts[0]),
        ],
    )
    # Each group in a run of its own: files that are read for nothing take longer than most tests.
    stages, seen = [], set()
    for group, options in zip(groups, (OWN, OWN, QUICK), strict=True):
        names = dict.fromkeys(str(file.relative_to(root)) for file in group if file not in seen)
        seen.update(group)
        if names:
            stages.append(Stage(tuple(names), options))
    return stages if is_quick else [*stages, *DEEP[source.parts[0]]]


def _users(source: Path) -> list[Path]:
    """Files beside ``source``, or in the folder above, that import it."""
    names = re.compile(rf"^(?:from|import) .*\b{re.escape(source.stem)}\b", re.MULTILINE)
    beside = [*sorted(source.parent.glob("*.py")), *sorted(source.parent.parent.glob("*.py"))]
    return [file for file in beside if file != source and names.search(file.read_text())]


def _is_own(test: Path, source: Path) -> bool:
    return test.stem == f"test_{source.stem}" or test.stem.startswith(f"test_{source.stem}_")


def source_files(root: Path, names: Sequence[str] = ROOMS) -> list[str]:
    """Files below ``names``, which are files and folders of the rooms."""
    found = []
    for name in names:
        path = root / name
        parts = Path(name).parts
        is_there = path.is_file() or path.is_dir()
        if not is_there or not parts or parts[0] not in ROOMS or ".." in parts:
            raise ValueError(
                f"files: must be files or folders below {', '.join(ROOMS)}, got {name!r}"
            )
        files = [path] if path.is_file() else sorted(path.rglob("*.py"))
        found += [str(file.relative_to(root)) for file in files]
    return list(dict.fromkeys(found))


def changed_lines(root: Path, base: str) -> dict[str, set[int]]:
    """Lines of the rooms' files that differ from where this branch left ``base``."""
    fork = _git(root, "merge-base", base, "HEAD").strip()
    lines: dict[str, set[int]] = defaultdict(set)
    path = ""
    for line in _git(root, "diff", "--unified=0", fork, "--", *ROOMS).splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ b/")
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(match[1]), int(match[2] or 1)
            lines[path] |= set(range(first, first + count))
    new = _git(root, "ls-files", "--others", "--exclude-standard", "--", *ROOMS).splitlines()
    for path in new:
        lines[path] = set(range(1, len((root / path).read_text().splitlines()) + 1))
    return {path: found for path, found in lines.items() if found and path.endswith(".py")}


def _git(root: Path, *words: str) -> str:
    run = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ValueError(f"git {' '.join(words)}: must succeed, got {run.stderr.strip()}")
    return run.stdout


def all_mutants(root: Path, files: Collection[str]) -> list[Mutant]:
    """Every fault of ``files``."""
    return [mutant for path in files for mutant in mutants((root / path).read_bytes(), path)]


def touched(found: Sequence[Mutant], lines: dict[str, set[int]]) -> list[Mutant]:
    """Those whose text lies on one of ``lines``."""
    return [
        mutant
        for mutant in found
        if lines.get(mutant.path, set())
        & set(range(mutant.line, mutant.line + mutant.before.count("\n") + 1))
    ]


def draw(found: Sequence[Mutant], number: int, seed: int, root: Path) -> list[Mutant]:
    """At most ``number``: kinds and rooms take turns, in an order of ``seed`` and names alone.

    A larger number has the smaller one's faults and more, and what is drawn changes little when the
    sources do: results that are there stay of use.
    """

    def order(mutant: Mutant) -> str:
        return hashlib.sha256(f"{seed}:{mutant.name}".encode()).hexdigest()

    piles = [
        sorted((m for m in found if m.kind == kind and m.path.startswith(f"{room}/")), key=order)
        for kind, room in itertools.product(KINDS, ROOMS)
    ]
    turns = (mutant for turn in itertools.zip_longest(*piles) for mutant in turn if mutant)
    sound = (mutant for mutant in turns if mutant.compiles((root / mutant.path).read_bytes()))
    return list(itertools.islice(sound, number))
