# SPDX-License-Identifier: Apache-2.0
"""One list of what the proofs of tests/formal have shown, made from what each of them leaves.

A record of the list is a property: what it says, where it stands, how it was proved, and the twins,
which are the same property with a fault planted in the gateware, that were refuted.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.formal import BUILD

LIST = BUILD / "proofs.json"
_HOW = ("name", "mode", "depth", "from_any_state", "sizes", "seconds")


def property_records(results: Sequence[Mapping]) -> list[dict]:
    """Properties in the order of their files: each proof, with the twins of its class.

    ``results`` are the records that ``prove`` and ``refute`` leave. A twin belongs to the property
    whose class it is of, or derives from.
    """
    records: dict[tuple[str, str], dict] = {}
    for result in results:
        if result["holds"]:
            key = (result["file"], result["classes"][0])
            record = records.setdefault(
                key,
                {
                    "property": result["classes"][0],
                    "statement": result["statement"],
                    "file": result["file"],
                    "proofs": [],
                    "twins": [],
                },
            )
            record["proofs"].append({name: result[name] for name in _HOW})
    for result in results:
        if not result["holds"]:
            owners = [(result["file"], name) for name in result["classes"]]
            owner = next((key for key in owners if key in records), None)
            if owner is not None:
                records[owner]["twins"].append(result["name"])
    for record in records.values():
        record["proofs"].sort(key=lambda proof: proof["name"])
        record["twins"].sort()
    return [records[key] for key in sorted(records)]


def forget_results(build: Path = BUILD) -> None:
    """Removes what earlier runs have shown."""
    for path in (*build.glob("*/result.json"), build / LIST.name):
        path.unlink(missing_ok=True)


def collect_results(build: Path = BUILD) -> list[dict]:
    """Writes ``proofs.json`` from the results of all proofs in ``build``, and returns it."""
    results = [json.loads(path.read_text()) for path in sorted(build.glob("*/result.json"))]
    own = [result for result in results if result["file"].startswith("tests/formal/")]
    records = property_records(own)
    build.mkdir(parents=True, exist_ok=True)
    (build / LIST.name).write_text(json.dumps(records, indent=1) + "\n")
    return records
