# SPDX-License-Identifier: Apache-2.0
"""Plain values of a program's JSON, each of the one form that is let through."""

import keyword
import math
import re
from typing import Any

MAX_ELEMENTS = 1 << 31  # of one tensor
LONGEST_TEXT = 1 << 16
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Za-z_]{0,24}")  # such as a mode of padding
_EINSUM = re.compile(r"[A-Za-z,.> -]{0,64}")


class Refused(ValueError):
    """A part of an archive that is not of an allowed form. The message says what and why."""


def a_field(value: Any, name: str, kind: type) -> Any:
    """The entry of an object, of a kind; ``Refused`` for any other."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        raise Refused(f"{name!r} must be a {kind.__name__}, is {type(found).__name__}")
    return found


def a_union(value: Any) -> tuple[str, Any]:
    """The kind and value of an object with one entry."""
    if not isinstance(value, dict) or len(value) != 1:
        raise Refused(f"one value of one kind must come, got {str(value)[:60]!r}")
    kind, inner = next(iter(value.items()))
    return kind, inner


def a_list(value: Any) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise Refused(f"a list must come, got {str(value)[:60]!r}")
    return value


def a_text(value: Any) -> str:
    """A text of bounded length."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise Refused(f"a text must come, got {str(value)[:60]!r}")
    return value


def an_integer(value: Any) -> int:
    """An integer of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise Refused(f"an integer of 64 bits must come, got {str(value)[:60]!r}")
    return value


def a_bound(value: Any) -> int | None:
    """An integer, or none."""
    return None if value is None else an_integer(value)


def a_real(value: Any) -> float:
    """A number, infinities among them."""
    if isinstance(value, str) and value in {"Infinity", "-Infinity", "NaN"}:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"a number must come, got {str(value)[:60]!r}")
    return float(value)


def some_sizes(values: list[int]) -> list[int]:
    """Integers whose product is no more than a tensor's elements."""
    if math.prod(max(abs(value), 1) for value in values if abs(value) < 1 << 62) > MAX_ELEMENTS:
        raise Refused(f"sizes must make at most 2^31 elements, got {values}")
    return values


def a_name(value: Any) -> str:
    """A name that ends up in generated code: an identifier and nothing else."""
    text = a_text(value)
    if not _IDENTIFIER.fullmatch(text) or keyword.iskeyword(text) or text.startswith("__"):
        raise Refused(f"{text[:80]!r} cannot be the name of a value")
    return text


def a_symbol(value: Any) -> str:
    """The symbol of a size, such as ``s0``."""
    text = a_text(value)
    if not re.fullmatch(r"[suz]\d{1,6}", text):
        raise Refused(f"{text[:80]!r} cannot be the symbol of a size")
    return text


def a_word(value: Any, is_einsum: bool) -> str:
    """An option of an operator: a short word, or the equation of einsum."""
    text = a_text(value)
    if not (_EINSUM if is_einsum else _WORD).fullmatch(text):
        raise Refused(f"{text[:80]!r} is no option of an operator")
    return text
