# SPDX-License-Identifier: Apache-2.0
"""Reading of pickle files that hold data, without running what a pickle may ask to run."""

import io
import pickle
from pathlib import Path

import numpy as np

from models.errors import DataError

# latin-1 bytes are how Python 2 strings, and bytes under protocol 2, are stored.
_ADMITTED = {
    ("_codecs", "encode"): lambda text, encoding="latin1": _encode(text, encoding),
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _ADMITTED[_module, "_reconstruct"] = lambda *_: _empty_array()


def _encode(text, encoding):
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _empty_array():
    """An array that the pickle's state then fills, as numpy's own reader does."""
    return np.ndarray((0,), np.uint8)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name}") from None

    def persistent_load(self, pid):
        raise pickle.UnpicklingError(f"persistent id {pid!r}")


def load_restricted(path):
    """The data in a pickle file: numpy arrays of numbers, bytes, str, numbers, dict, list, tuple.

    Anything else, an object array included, raises :exc:`DataError` before it is called.
    Python 2 files are read with strings as bytes.
    """
    raw = Path(path).read_bytes()
    try:
        return _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except Exception as error:
        raise DataError(f"{path}: a pickle must hold only arrays, bytes, str, dict and list; "
                        f"{error or type(error).__name__} came; nothing was run: get the file "
                        "again, or use the binary layout") from error
