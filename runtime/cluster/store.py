# SPDX-License-Identifier: Apache-2.0
"""Results of units as files: ``<key>.json``, each written whole or not at all.

A file has ``format``, ``version``, the unit's ``name`` and ``key``, ``sha256`` of the compact JSON
of ``result``, and ``result``. Whoever has the key has everything that the result depends on; a file
that is damaged, foreign or of another version is as good as none. Nothing in a file is executed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from stemcore.files import write_whole

from .units import Unit, plain_bytes

FORMAT = "stemcore unit"
VERSION = 1


class Missing:
    """What :meth:`Store.find` returns where there is no result; None may be one."""


MISSING = Missing()


class Store:
    """Results in ``folder``, which is made with the first of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def path(self, unit: Unit) -> Path:
        """Where the result of a unit lies."""
        return self.folder / f"{unit.key}.json"

    def find(self, unit: Unit) -> Any:
        """The result of a unit, or ``MISSING``."""
        try:
            document = json.loads(self.path(unit).read_text(encoding="utf-8"))
            result = document["result"]
            wanted = (FORMAT, VERSION, unit.key, _hash(result))
            found = tuple(document[name] for name in ("format", "version", "key", "sha256"))
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return MISSING
        return result if found == wanted else MISSING

    def keep(self, unit: Unit, result: Any) -> Any:
        """Writes a result, and returns it as :meth:`find` will."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "name": unit.name,
            "key": unit.key,
            "sha256": _hash(result),
            "result": result,
        }
        text = json.dumps(document, separators=(",", ":")) + "\n"
        write_whole(self.path(unit), text)
        return json.loads(text)["result"]


def _hash(result: Any) -> str:
    return hashlib.sha256(plain_bytes(result)).hexdigest()
