# SPDX-License-Identifier: Apache-2.0
"""Reading of pickle files that hold data, without running what a pickle may ask to run.

A pickle names functions to call. Here every name that numpy's own pickles use stands for an inert
record of the arguments, any other name is refused, and arrays are built from the records
afterwards, so that neither numpy nor anything else is called with what the file holds.
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.files import read_file

from ..errors import DataError

_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")


class _Recorder:
    """Stands for an admitted function; it has no attribute that a pickle could set."""

    __slots__ = ("_make",)
    _make: Callable[..., Any]

    def __init__(self, make: Callable[..., Any]) -> None:
        object.__setattr__(self, "_make", make)

    def __setattr__(self, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f"attribute {name!r} of a function")

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)


class _Dtype:
    """The type of a pickled array: a kind and a size, then the byte order in the state."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code: str = _text(code)
        self.order = "="
        if self.code[:1] not in tuple("biuf") or not self.code[1:].isdigit():
            raise pickle.UnpicklingError(f"array type {self.code!r}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = _text(state[1])
        if self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"byte order {self.order!r}")


class _Array:
    """A pickled array: shape, type, order and bytes."""

    def __init__(self, *_: object) -> None:
        self.parts: tuple[Any, ...] = ()  # shape, type, whether columns come first, bytes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.parts = state[0], tuple(state[1:])

    def build(self) -> NDArray[Any]:
        shape, dtype, fortran, raw = self.parts
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes | bytearray):
            raise pickle.UnpicklingError("an array that is not of numbers")
        kind = np.dtype(dtype.order.replace("|", "=") + dtype.code)
        if not all(isinstance(n, int) and n >= 0 for n in shape) or math.prod(
            shape
        ) * kind.itemsize != len(raw):
            raise pickle.UnpicklingError(f"an array {shape} in {len(raw)} bytes")
        return np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C").copy()


def _from_buffer(raw: object, dtype: object, shape: object, order: object) -> _Array:
    array = _Array()
    array.parts = (shape, dtype, order == "F", raw)
    return array


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How bytes are stored up to protocol 2."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _empty_bytes() -> bytes:
    return b""


_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _empty_bytes,
}
_ADMITTED |= {(module, "_reconstruct"): _Array for module in _ARRAY_MODULES}
_ADMITTED |= {(module, "_frombuffer"): _from_buffer for module in _BUFFER_MODULES}


class _Unpickler(pickle._Unpickler):
    """In Python: that in C fills memory up to any number that a file gives as a place to remember
    something at."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return _Recorder(_ADMITTED[module, name])


def _text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _finish(value: Any, known: dict[int, tuple[Any, Any]]) -> Any:
    """The loaded value with every record replaced by its array.

    ``known`` has what was finished, by the id of what it was made from: a pickle of some bytes can
    hold a list twice in a list that is held twice, and so on, which must not be written out.
    """
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, _Array):
        made: Any = value.build()
    elif isinstance(value, dict):
        made = {_finish(key, known): _finish(item, known) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        made = type(value)(_finish(item, known) for item in value)
    else:
        raise pickle.UnpicklingError(f"a value of type {type(value).__name__.strip('_')}")
    known[id(value)] = value, made  # kept, so that no other value gets its id
    return made


def load_restricted(path: Path | str) -> Any:
    """The data in a pickle file: arrays of numbers, bytes, str, numbers, dict, list, tuple.

    Strings of Python 2 files are read as bytes. Anything else raises :exc:`DataError`, and nothing
    that the file names is called.
    """
    try:
        raw = io.BytesIO(read_file(path))
        return _finish(_Unpickler(raw, encoding="bytes").load(), {})
    except Exception as error:
        raise DataError(
            f"{path}: a pickle must hold only arrays of numbers, bytes, str, dict and "
            f"list; {error or type(error).__name__} came, and nothing was run; get "
            "the file again or use the binary layout"
        ) from error
