# SPDX-License-Identifier: Apache-2.0
"""Where this project writes: results beside the user's work, built things in a cache of the user's.

Both are looked up when they are needed, not when a module is imported: a process may change its
working directory or its environment. Nothing is ever written where the package is installed.
"""

import contextlib
import hashlib
import os
import re
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "STEMCORE_CACHE"
# Make, which builds there, splits or expands a name at each of these.
_BAD_FOR_MAKE = re.compile(r"[\s#$%:;=&|<>()*?\[\]{}'\"`\\~!]")


def suits_make(path: Path) -> bool:
    """Whether make can name ``path``, an absolute one."""
    return _BAD_FOR_MAKE.search(str(path)) is None


def results() -> Path:
    """Folder of results, ``sim_build`` of the working directory; need not exist."""
    return Path.cwd() / "sim_build"


def cache() -> Path:
    """Folder of what is built once and found again by its content; need not exist.

    ``$STEMCORE_CACHE``, else the place that the system has for it (``~/.cache/stemcore``). All
    checkouts and versions share it. Raises ``ValueError`` for a path that make cannot build in.
    """
    named = os.environ.get(CACHE_VARIABLE)
    path = Path(named).expanduser() if named else platformdirs.user_cache_path("stemcore")
    path = path.absolute()
    if bad := _BAD_FOR_MAKE.search(str(path)):
        raise ValueError(
            f"cache: its path must have no spaces and none of the characters that make expands; "
            f"{path} came, with {bad[0]!r}; set {CACHE_VARIABLE} to another folder"
        )
    return path


def named_for_make(folder: Path) -> Path:
    """``folder``, or a link to it in the cache where make cannot name its path."""
    folder = Path(folder).resolve()
    if suits_make(folder):
        return folder
    link = cache() / "links" / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    link.parent.mkdir(parents=True, exist_ok=True)
    # Another process may make the same link first, which is as good.
    with contextlib.suppress(FileExistsError):
        link.symlink_to(folder, target_is_directory=True)
    return link


def engines() -> Path:
    """Folder of the cache that keeps compiled nodes."""
    return cache() / "engines"
