# SPDX-License-Identifier: Apache-2.0
"""Results of faults, kept in a file so that a run can be ended and taken up again."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutation.operators import KINDS, Mutant

EQUIVALENT = Path(__file__).parent / "equivalent.json"
CAUGHT, SURVIVED = "caught", "survived"


def digest(source: bytes) -> str:
    """Of a source file: a result holds for this text alone."""
    return hashlib.sha256(source).hexdigest()[:16]


class Results:
    """Verdicts by the name of the fault, in a JSON file that is replaced as a whole.

    A verdict is ``{"file", "place", "kind", "line", "before", "after", "source", "verdict",
    "test", "seconds"}``; ``source`` is the digest of the file that the fault was planted in, and
    ``test`` the one that noticed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        if path.exists():
            self.entries = json.loads(path.read_text())

    def known(self, mutant: Mutant, source: str) -> str | None:
        """Verdict of ``mutant`` in a file of this digest, where there is one."""
        entry = self.entries.get(mutant.name)
        return entry["verdict"] if entry and entry["source"] == source else None

    def add(self, mutant: Mutant, source: str, test: str, seconds: float) -> str:
        """Store that ``test`` noticed, or that none did (""); returns the verdict."""
        verdict = CAUGHT if test else SURVIVED
        self.entries[mutant.name] = {
            "file": mutant.path,
            "place": mutant.place,
            "kind": mutant.kind,
            "line": mutant.line,
            "before": mutant.before,
            "after": mutant.after,
            "source": source,
            "verdict": verdict,
            "test": test,
            "seconds": round(seconds, 1),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.entries, indent=1, sort_keys=True) + "\n")
        new.replace(self.path)
        return verdict


@dataclass(frozen=True)
class Equivalent:
    """A fault that changes nothing that can be observed.

    file, place, before, after, number : as a mutant's
    reason : why nothing can notice it
    """

    file: str
    place: str
    kind: str
    before: str
    after: str
    reason: str
    number: int = 0

    @property
    def name(self) -> str:
        """Of the mutant."""
        return Mutant(
            self.file, self.place, self.kind, 0, self.before, self.after, 0, 0, self.number
        ).name


def equivalents(path: Path = EQUIVALENT) -> dict[str, Equivalent]:
    """The list of faults that change nothing, by name. ``ValueError`` where an entry is not one."""
    found = {}
    for entry in json.loads(path.read_text()):
        try:
            listed = Equivalent(**entry)
        except TypeError as error:
            raise ValueError(f"{path.name}: {error}, got {entry}") from error
        if listed.kind not in KINDS or len(listed.reason.split()) < 5:
            raise ValueError(
                f"{path.name}: an entry needs a kind ({', '.join(KINDS)}) and a sentence that says "
                f"why nothing can notice it, got {entry}"
            )
        found[listed.name] = listed
    return found


def summary(results: Results, drawn: Sequence[Mutant], root: Path) -> dict[str, Any]:
    """Figures of the faults that were drawn, as far as they have been tried.

    ``{"tried", "caught", "equivalent", "survived", "kinds": {kind: [caught, tried]},
    "survivors": [..]}``; equivalent ones are not among those tried.
    """
    same = equivalents()
    paths = {mutant.path for mutant in drawn}
    sources = {path: digest((root / path).read_bytes()) for path in paths}
    tried: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    survivors, n_equivalent = [], 0
    for mutant in drawn:
        if mutant.name in same:
            n_equivalent += 1
            continue
        verdict = results.known(mutant, sources[mutant.path])
        if verdict is None:
            continue
        tried[mutant.kind] += 1
        caught[mutant.kind] += verdict == CAUGHT
        if verdict == SURVIVED:
            survivors.append(described(mutant))
    return {
        "tried": tried.total(),
        "caught": caught.total(),
        "equivalent": n_equivalent,
        "survived": len(survivors),
        "kinds": {kind: [caught[kind], tried[kind]] for kind in KINDS if tried[kind]},
        "survivors": survivors,
    }


def described(mutant: Mutant) -> str:
    """One line: where, and what becomes what."""
    before, after = (" ".join(text.split()) for text in (mutant.before, mutant.after))
    place = f" {mutant.place}" if mutant.place else ""
    return f"{mutant.path}:{mutant.line}{place}: {mutant.kind}: {before}  ->  {after}"
