# SPDX-License-Identifier: Apache-2.0
"""Names for what lies at a path, which weights and results of it are kept under."""

import hashlib
import re
from pathlib import Path

HASH_DIGITS = 8
LONGEST = 32  # characters of a part that is the user's own; the hash tells longer ones apart


def path_name(path: Path | str) -> str:
    """A name for what lies at ``path``, that nothing at another path has: ``fruit.1a2b3c4d``."""
    resolved = Path(path).resolve()
    return with_hash(resolved.name if resolved.is_dir() else resolved.stem, str(resolved))


def with_hash(name: str, identity: str) -> str:
    """``name`` in characters that every file system and shell takes, and a hash of ``identity``.

    A dash stands between parts alone.
    """
    plain = re.sub(r"[^A-Za-z0-9_.+]", "_", name)[:LONGEST]
    raw = identity.encode("utf-8", "surrogateescape")
    return f"{plain}.{hashlib.sha256(raw).hexdigest()[:HASH_DIGITS]}"
