# SPDX-License-Identifier: Apache-2.0
"""Where a run keeps the results of the compiler's stages, and finds those of others."""

import glob
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from stemcore.compiler.pipeline import STAGES
from stemcore.compiler.saved import CompileFolder

from .toolchain.process import locked


def kept_beside(folder: Path) -> list[Path]:
    """Folders of compilations of the same model and data with other settings.

    ``folder`` lies in a run's folder, whose name begins with model and data set, each without a
    dash (:mod:`stemcore.runtime.report.names`).
    """
    run = folder.parent
    stem = glob.escape("-".join(run.name.split("-")[:2]))
    found = [*run.parent.glob(f"{stem}/{folder.name}"), *run.parent.glob(f"{stem}-*/{folder.name}")]
    return sorted(path for path in found if path != folder)


def say_reused(store: CompileFolder | None, say: Callable[[str], None]) -> None:
    """Says in one line which stages were found, and where."""
    if store is not None and store.reused:
        folders = dict.fromkeys(_short(path) for path in store.reused.values())
        say(f"compile      {_spans(store.reused)} reused from {' and '.join(folders)}")
        store.reused.clear()


def _spans(names: Collection[str]) -> str:
    """Stages in words, those that follow each other as ``first to last``."""
    spans: list[list[str]] = []
    for before, name in zip((None, *STAGES), STAGES, strict=False):
        if name not in names:
            continue
        if before in names:
            spans[-1].append(name)
        else:
            spans.append([name])
    return ", ".join(s[0] if len(s) == 1 else f"{s[0]} to {s[-1]}" for s in spans)


def _short(path: Path) -> str:
    """Seen from the working directory, where it lies below that."""
    here, resolved = Path.cwd(), path.resolve()
    return str(resolved.relative_to(here) if resolved.is_relative_to(here) else path)


@contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """No other command writes to the compiler's folder meanwhile."""
    if folder is None:
        yield
        return
    with locked(folder.with_name(f".{folder.name}.lock")):
        yield
