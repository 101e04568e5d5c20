# SPDX-License-Identifier: Apache-2.0
"""Words as text for ``$readmemh``."""

from collections.abc import Iterable
from pathlib import Path

from .flits import Flits


def write_hex(path: Path, parts: Iterable[tuple[str, Flits]], digits: int) -> int:
    """Writes words of so many digits, each part under its title; returns how many there are."""
    n_words = 0
    with path.open("w") as file:
        for title, words in parts:
            file.write(f"// {title}: {len(words)}\n")
            file.write("".join(f"{word:0{digits}x}\n" for word in words.tolist()))
            n_words += len(words)
    return n_words
