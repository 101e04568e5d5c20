# SPDX-License-Identifier: Apache-2.0
"""Intermediate results on disk: a zip of numpy arrays and one JSON text, nothing executable."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FormatError

_JSON = "content.json"


def write_archive(
    path: Path | str, kind: str, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write ``content`` (plain JSON) and ``arrays``, whole or not at all.

    Same contents, same bytes. Folders are made as needed.
    """
    text = json.dumps({"kind": kind, "content": content}, sort_keys=True)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        stored = {_JSON: np.frombuffer(text.encode(), np.uint8), **arrays}
        np.savez_compressed(file, allow_pickle=False, **stored)
    unfinished.replace(path)


def read_archive(path: Path | str, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Contents and arrays of an archive of this kind; ``FormatError`` for any other file."""
    try:
        with np.load(Path(path), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        document = json.loads(arrays.pop(_JSON).tobytes().decode())
        found, content = document["kind"], document["content"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise FormatError(str(path), f"must be an archive of a {kind}: {error}") from error
    if found != kind:
        raise FormatError(str(path), f"must hold a {kind}, holds a {found}")
    return content, arrays
