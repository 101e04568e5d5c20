# SPDX-License-Identifier: Apache-2.0
"""The known name that a misspelt word most likely means."""

import difflib
from collections.abc import Iterable


def did_you_mean(words: str | Iterable[str], known: Iterable[str]) -> str:
    """``; did you mean ..?`` for the first word that is near to a known one; else nothing.

    Text behind an equals sign belongs to the user, and is not looked at.
    """
    known = list(known)
    for word in [words] if isinstance(words, str) else words:
        text = word.partition("=")[0]
        # A word that goes on where a known one ends, or ends where it goes on, is nearer to it than
        # any of other letters.
        begun = sorted((name for name in known if name and text.startswith(name)), key=len)
        cut_off = sorted(
            (name for name in known if text.strip("-") and name.startswith(text)), key=len
        )
        if (
            near := begun[-1:]
            or cut_off[:1]
            or difflib.get_close_matches(text, known, n=1, cutoff=0.7)
        ):
            return f"; did you mean {near[0]}?"
    return ""
