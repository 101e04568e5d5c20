# SPDX-License-Identifier: Apache-2.0
"""Folders in which one file is one entry: a new entry is a new file, and no list to edit."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, TypeVar


class Named(Protocol):
    """What can be an entry: it knows the name that it is found by."""

    @property
    def name(self) -> str:
        """Unique in its folder."""
        ...


Entry = TypeVar("Entry", bound=Named)


def find_entries(
    package: str, path: list[str], attribute: str, kind: type[Entry]
) -> dict[str, Entry]:
    """``attribute`` of every module in the folders ``path`` of ``package``, by its name.

    Sorted by file name. ``TypeError`` names a module without the attribute or with one of another
    kind, ``ValueError`` two modules that use one name.
    """
    entries: dict[str, Entry] = {}
    for module in sorted(info.name for info in iter_modules(path)):
        where = f"{package}.{module}"
        entry = getattr(import_module(where), attribute, None)
        if not isinstance(entry, kind):
            raise TypeError(
                f"{where}: {attribute} must be a {kind.__name__}, got {type(entry).__name__}"
            )
        if entry.name in entries:
            raise ValueError(f"{where}: another module has the name {entry.name!r}; choose another")
        entries[entry.name] = entry
    return entries
