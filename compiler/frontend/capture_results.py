# SPDX-License-Identifier: Apache-2.0
"""What an exported program returns: the names of its tensors, and how they are arranged."""

import json
from collections.abc import Iterator
from typing import Any

from ..errors import CaptureError

Path = tuple[str, ...]
CONTAINERS = "a tensor, or tuples, lists and dicts of tensors"


def is_plain(spec: Any) -> bool:
    """Whether a program returns one tensor, or a tuple of one."""
    if spec.is_leaf():
        return True
    return issubclass(spec.type, tuple) and spec.num_children == 1 and spec.child(0).is_leaf()


def read_structure(spec: Any, names: tuple[str | None, ...]) -> tuple[str, list[str]]:
    """The arrangement as JSON (:mod:`stemcore.golden.network.results`), and a name for each output.

    ``spec`` is torch's description of what the program returns, ``names`` are those of its leaves
    in the program, None for a None. ``CaptureError`` for other containers.
    """
    leaves, paths = iter(names), list[Path]()

    def walk(part: Any, path: Path) -> Any:
        if part.is_leaf():
            if next(leaves) is None:
                return None
            paths.append(path)
            return len(paths) - 1
        children = [(key, part.child(i)) for i, key in enumerate(_keys(part))]
        found = [walk(child, (*path, str(key))) for key, child in children]
        if issubclass(part.type, dict):
            pairs = zip((key for key, _ in children), found, strict=True)
            return {"dict": [list(pair) for pair in pairs]}
        return {"list" if issubclass(part.type, list) else "tuple": found}

    structure = json.dumps(walk(spec, ()))
    return structure, list(_different(".".join(path) or "output" for path in paths))


def _keys(spec: Any) -> list[Any]:
    if issubclass(spec.type, dict) and isinstance(spec.context, (list, tuple)):
        keys = list(spec.context)
        if spec.num_children != len(keys):  # of a defaultdict the context has more
            keys = list(keys[-1])
        if all(isinstance(key, str | int) for key in keys):
            return keys
    elif issubclass(spec.type, tuple) and hasattr(spec.type, "_fields"):
        return list(spec.type._fields)
    elif issubclass(spec.type, tuple | list):
        return list(range(spec.num_children))
    raise CaptureError(
        "capture",
        f"the model must return {CONTAINERS}, with text or numbers as keys; it returns a "
        f"{getattr(spec.type, '__name__', spec.type)}",
        "return one of these",
    )


def _different(names: Iterator[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        chosen = name
        while chosen in taken:
            chosen += "_"
        taken.add(chosen)
        yield chosen
