# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses on disk: exactly what was written comes back, or a ``FormatError``.

:func:`save_record` turns a value into plain JSON and arrays. :func:`load_record` is told the type
that it has to find and follows the annotations of its fields, so that a class of the intermediate
representation needs no code of its own for a file: a field that is missing, unknown or of another
type is an error that names it.

=============================  =====================================================================
value                          in JSON
=============================  =====================================================================
None, bool, int, float, str    itself
array                          ``{"array": name}``; ``{"array": name, "of": "float64"}`` where it
                               is stored as float32, which holds exactly the same numbers
tuple, list                    a list
mapping                        ``{"pairs": [[key, value], ..]}``, in its order
dataclass                      ``{"is": class, field: value, ..}``
=============================  =====================================================================
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from .archive import archive_bytes, read_archive, write_hashed
from .errors import CompileError, FormatError

Arrays = dict[str, NDArray[Any]]


def save_record(path: Path | str, kind: str, value: Any) -> str:
    """Writes ``value`` as one archive, whole or not at all; returns the file's SHA-256.

    ``kind`` says in words what it is. Same value, same bytes.
    """
    return write_hashed(Path(path), record_bytes(kind, value))


def record_bytes(kind: str, value: Any) -> bytes:
    """What :func:`save_record` writes."""
    arrays: Arrays = {}
    content = to_plain(value, arrays)
    return archive_bytes(kind, content, arrays)


def load_record(
    path: Path | str, kind: str, wanted: Any, check: Callable[[Any], Any] | None = None
) -> Any:
    """A value of the type ``wanted`` from an archive; ``FormatError`` where the file has none.

    ``check`` raises where the value is of the type and nevertheless cannot be.
    """
    content, arrays = read_archive(path, kind)
    try:
        value = from_plain(wanted, content, arrays, kind)
        if check is not None:
            check(value)
    except (ValueError, TypeError, KeyError, IndexError, AssertionError, CompileError) as error:
        raise FormatError(
            str(path), f"must hold a valid {kind}: {error}", "compile the network again"
        ) from error
    return value


def to_plain(value: Any, arrays: Arrays) -> Any:
    """``value`` as JSON; its arrays are added to ``arrays``. ``TypeError`` for other objects."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, np.ndarray):
        return _array_to_plain(value, arrays)
    if isinstance(value, Mapping):
        return {"pairs": [[to_plain(k, arrays), to_plain(v, arrays)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        return [to_plain(element, arrays) for element in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        plain = {name: to_plain(field, arrays) for name, field in fields.items()}
        return {"is": type(value).__name__, **plain}
    raise TypeError(f"records: {type(value).__name__} has no form in a file")


def _array_to_plain(array: NDArray[Any], arrays: Arrays) -> dict[str, str]:
    name = str(len(arrays))
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):
            narrow = array.astype(np.float32)
        if narrow.astype(np.float64).tobytes() == array.tobytes():
            arrays[name] = narrow
            return {"array": name, "of": "float64"}
    arrays[name] = array
    return {"array": name}


def from_plain(wanted: Any, plain: Any, arrays: Mapping[str, NDArray[Any]], where: str) -> Any:
    """Inverse of :func:`to_plain` for a value of the type ``wanted``.

    ``where`` names the value in errors: ``ValueError`` for whatever is not as it must be.
    """
    origin = get_origin(wanted)
    if origin in (typing.Union, types.UnionType):
        return _from_union(get_args(wanted), plain, arrays, where)
    if wanted is np.ndarray or origin is np.ndarray:
        return _from_array(wanted, plain, arrays, where)
    if wanted is tuple or origin is tuple:
        return _from_tuple(get_args(wanted), plain, arrays, where)
    if origin in (list, Sequence):
        (inner,) = get_args(wanted)
        return [
            from_plain(inner, p, arrays, f"{where}[{i}]") for i, p in enumerate(_list(plain, where))
        ]
    if origin in (dict, Mapping):
        return _from_mapping(get_args(wanted), plain, arrays, where)
    if dataclasses.is_dataclass(wanted) or _records_below(wanted):
        return _from_record(wanted, plain, arrays, where)
    if wanted in (None, type(None)):
        return _exactly(plain is None, plain, where, "null")
    if wanted is bool:
        return _exactly(isinstance(plain, bool), plain, where, "true or false")
    if wanted is int:
        is_int = isinstance(plain, int) and not isinstance(plain, bool)
        return _exactly(is_int, plain, where, "an integer")
    if wanted is float:
        is_number = isinstance(plain, int | float) and not isinstance(plain, bool)
        return _exactly(is_number, plain, where, "a number")
    if wanted is str:
        return _exactly(isinstance(plain, str), plain, where, "a string")
    raise TypeError(f"{where}: the annotation {wanted} has no form in a file")


def _exactly(is_right: bool, plain: Any, where: str, what: str) -> Any:
    if not is_right:
        raise ValueError(f"{where} must be {what}, got {_short(plain)}")
    return plain


def _short(plain: Any) -> str:
    text = repr(plain)
    return text if len(text) <= 60 else text[:57] + "..."


def _list(plain: Any, where: str) -> list[Any]:
    return list(_exactly(isinstance(plain, list), plain, where, "a list"))


def _from_union(
    options: tuple[Any, ...], plain: Any, arrays: Mapping[str, NDArray[Any]], where: str
) -> Any:
    if plain is None and type(None) in options:
        return None
    left = [option for option in options if option is not type(None)]
    if isinstance(plain, dict) and "is" in plain:
        left = [o for o in left if getattr(o, "__name__", None) == plain["is"]] or left
    failure: Exception = ValueError(f"{where} is of no type that it may have")
    for option in left:
        try:
            return from_plain(option, plain, arrays, where)
        except ValueError as error:
            failure = error
    raise failure


def _from_array(
    wanted: Any, plain: Any, arrays: Mapping[str, NDArray[Any]], where: str
) -> NDArray[Any]:
    is_array = isinstance(plain, dict) and set(plain) - {"of"} == {"array"}
    name = _exactly(is_array, plain, where, "an array")["array"]
    if name not in arrays:
        raise ValueError(f"{where}: the file must have the array {name!r}, has none")
    array = arrays[name]
    if "of" in plain:
        if plain["of"] != "float64" or array.dtype != np.float32:
            raise ValueError(f"{where}: only float64 is stored as float32, got {_short(plain)}")
        array = array.astype(np.float64)
    arguments = get_args(wanted)
    kind = get_args(arguments[1])[0] if arguments else Any
    if kind is not Any and not np.issubdtype(array.dtype, kind):
        raise ValueError(f"{where} must be an array of {kind.__name__}, got {array.dtype}")
    array.flags.writeable = False
    return array


def _from_tuple(
    elements: tuple[Any, ...], plain: Any, arrays: Mapping[str, NDArray[Any]], where: str
) -> tuple[Any, ...]:
    values = _list(plain, where)
    if len(elements) == 2 and elements[1] is ...:
        elements = (elements[0],) * len(values)
    if len(values) != len(elements):
        raise ValueError(f"{where} must have {len(elements)} elements, has {len(values)}")
    return tuple(
        from_plain(wanted, value, arrays, f"{where}[{i}]")
        for i, (wanted, value) in enumerate(zip(elements, values, strict=True))
    )


def _from_mapping(
    sides: tuple[Any, ...], plain: Any, arrays: Mapping[str, NDArray[Any]], where: str
) -> dict[Any, Any]:
    is_mapping = isinstance(plain, dict) and set(plain) == {"pairs"}
    found: dict[Any, Any] = {}
    for pair in _list(_exactly(is_mapping, plain, where, "a mapping")["pairs"], where):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError(f"{where} must have pairs of key and value, got {_short(pair)}")
        key = from_plain(sides[0], pair[0], arrays, f"a key of {where}")
        if key in found:
            raise ValueError(f"{where} must have the key {key!r} once")
        found[key] = from_plain(sides[1], pair[1], arrays, f"{where}[{key!r}]")
    return found


@cache
def _fields(record: type) -> dict[str, Any]:
    """Annotations of the fields that make a record."""
    annotations = typing.get_type_hints(record)
    return {f.name: annotations[f.name] for f in dataclasses.fields(record) if f.init}


def _records_below(kind: Any) -> dict[str, type]:
    """Dataclasses that are or derive from a class, by name, as far as they are imported."""
    if not isinstance(kind, type) or kind is object:
        return {}
    found: dict[str, type] = {}
    below: list[type] = type.__subclasses__(kind)
    for sub in below:
        found |= _records_below(sub)
    return found | ({kind.__name__: kind} if dataclasses.is_dataclass(kind) else {})


def _from_record(kind: Any, plain: Any, arrays: Mapping[str, NDArray[Any]], where: str) -> Any:
    records = _records_below(kind)
    name = plain.get("is") if isinstance(plain, dict) else None
    record = records.get(name) if isinstance(name, str) else None
    if record is None:
        raise ValueError(f"{where} must be a {' or '.join(sorted(records))}, got {_short(plain)}")
    found = set(plain) - {"is"}
    fields = _fields(record)
    if found != set(fields):
        odd = sorted(found ^ set(fields))
        raise ValueError(f"{where}: a {name} must have the fields {list(fields)}; wrong: {odd}")
    values = {f: from_plain(t, plain[f], arrays, f"{where}.{f}") for f, t in fields.items()}
    try:
        return record(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: {error}") from error
