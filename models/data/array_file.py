# SPDX-License-Identifier: Apache-2.0
"""Data sets of the user's own as arrays: ``.npz`` with named arrays, or one array as ``.npy``.

=====================  =========================================================================
name                   what it is
=====================  =========================================================================
``x_train, x_test``    bytes of pictures (uint8), or floats as the network sees them; the first
                       axis counts, the others are the network's input: (N, C, H, W), (N, C, L),
                       (N, F), or grey pictures (N, H, W), or bytes (N, H, W, C)
``y_train, y_test``    optional: a class a sample, as integers from 0 on, or as text
``class_names``        optional: text, one a class
=====================  =========================================================================

A network with several inputs has samples of each: ``x_train.NAME`` and ``x_test.NAME``
(:func:`load_inputs`).

Names may be in capitals; ``images`` and ``labels``, or ``x`` and ``y``, or a single array of any
name, stand for a set that is calibrated and tested on the same samples. Nothing is unpickled.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.numpy_files import read_arrays

from ..arrays import Labels, Shape
from ..errors import DataError
from .dataset import NO_LABEL, Dataset, fit_images
from .files import shown

NAME = "arrays"
SUFFIXES = (".npz", ".npy")
CLASS_NAMES = ("class_names", "classes")
SINGLE = (("images", "labels"), ("x", "y"))  # names for samples, and labels, of one split
REMEDY = "write it with numpy.savez(path, x_train=.., y_train=.., x_test=.., y_test=..)"
Arrays = Mapping[str, NDArray[Any]]


def is_array_file(path: Path | str) -> bool:
    """Whether a file is one, by its suffix."""
    return str(path).lower().endswith(SUFFIXES)


def load_arrays(
    path: Path,
    input_shape: Shape | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
) -> Dataset:
    """The file as a :class:`Dataset`, its samples as (N, C, H, W).

    Parameters
    ----------
    input_shape : (C, H, W) or None
        Of the network; sequences are (C, 1, L), vectors (F, 1, 1). Bytes of pictures of another
        size are resized, which a note says; floats must fit. None: as they are.
    n_train, n_test : int or None
        Only the first samples of a split.

    Raises :exc:`DataError` for what is no such file, and for arrays that do not fit.
    """
    return _dataset(_read(path, shown(path)), path, shown(path), input_shape, n_train, n_test)


def holds_bytes(path: Path) -> bool:
    """Whether the samples of a file, those to calibrate on, are bytes of pictures.

    Raises :exc:`DataError` as :func:`load_arrays`.
    """
    splits = _splits(_read(path, shown(path)), shown(path), [])
    return splits["train"][0].dtype == np.uint8


def load_inputs(
    path: Path,
    input_shapes: Mapping[str, Shape],
    n_train: int | None = None,
    n_test: int | None = None,
) -> dict[str, Dataset]:
    """A :class:`Dataset` for each input of a network with several, by its name.

    Samples of the input NAME are called ``x_train.NAME`` and ``x_test.NAME``, or ``x.NAME`` where
    there is one split; labels and class names are as ever. Raises :exc:`DataError` as
    :func:`load_arrays`, and for an input without samples.
    """
    where = shown(path)
    arrays = _read(path, where)
    found = {}
    for name, shape in input_shapes.items():
        ending = f".{name.lower()}"
        own = {
            key.removesuffix(ending): array for key, array in arrays.items() if key.endswith(ending)
        }
        if not own:
            raise DataError(
                f"{where}: must have samples of the input {name}, x_train.{name} and x_test.{name};"
                f" {', '.join(arrays) or 'none'} came; write it with numpy.savez(path, "
                "**{'x_train.NAME': .., 'x_test.NAME': .., 'y_train': .., 'y_test': ..})"
            )
        shared = {k: v for k, v in arrays.items() if k.startswith("y") or k in CLASS_NAMES}
        found[name] = _dataset({**shared, **own}, path, where, shape, n_train, n_test)
    counts = {name: (len(d.train_images), len(d.test_images)) for name, d in found.items()}
    if len(set(counts.values())) > 1:
        came = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise DataError(f"{where}: every input must have as many samples; {came} came; mend one")
    return found


def _dataset(
    arrays: Arrays,
    path: Path,
    where: str,
    input_shape: Shape | None,
    n_train: int | None,
    n_test: int | None,
) -> Dataset:
    notes: list[str] = []
    splits = _splits(arrays, where, notes)
    labels = {split: _labels(splits[split][1], f"{where} y_{split}") for split in splits}
    class_names, classes = _classes(arrays, labels, where)
    values = {split: _values(splits[split][0], f"{where} x_{split}") for split in splits}
    if len({array.dtype for array in values.values()}) > 1:
        raise DataError(
            f"{where}: x_train and x_test must both be bytes or both floats; "
            f"{values['train'].dtype} and {values['test'].dtype} came; convert one of them"
        )
    ends = [float(f(v)) for v in values.values() if v.size for f in (np.min, np.max)]
    is_bytes = values["train"].dtype == np.uint8
    counts = {"train": n_train, "test": n_test}
    fitted = {
        split: _fitted(array[: counts[split]], input_shape, f"{where} x_{split}", notes)
        for split, array in values.items()
    }
    for split, array in values.items():
        classes.setdefault(split, np.full(len(array), NO_LABEL, np.int64))
        if len(classes[split]) != len(array):
            raise DataError(
                f"{where}: y_{split} must have a label for each sample; {len(array)} samples and "
                f"{len(classes[split])} labels came; correct the file"
            )
    sizes = " and ".join(f"{len(values[split])} {split}" for split in values)
    return Dataset(
        NAME,
        fitted["train"],
        classes["train"][:n_train],
        fitted["test"],
        classes["test"][:n_test],
        class_names,
        f"{shown(path.name)}: {sizes} samples"
        + (f" of {len(class_names)} classes" if class_names else ", no labels"),
        tuple(dict.fromkeys(notes)),
        value_range=None if is_bytes or not ends else (min(ends), max(ends)),
    )


def _read(path: Path, where: str) -> Arrays:
    """All arrays, names in small letters."""
    if not path.is_file():
        raise DataError(f"{where}: the file must exist; nothing is there; check the path")
    status = path.stat()
    try:
        return _contents(path.resolve(), status.st_mtime_ns, status.st_size)
    except (ValueError, OSError) as error:
        raise DataError(
            f"{where}: must be .npy or .npz without pickled objects; reading it gave {error}; "
            f"{REMEDY}"
        ) from error


@lru_cache(maxsize=1)
def _contents(path: Path, changed: int, size: int) -> Arrays:
    """What a file holds; class names and samples are asked for one after the other."""
    stored = read_arrays(path)
    if isinstance(stored, np.ndarray):
        return {"x": stored}
    return {name.lower(): array for name, array in stored.items()}


Split = tuple[NDArray[Any], NDArray[Any] | None]


def _splits(arrays: Arrays, where: str, notes: list[str]) -> dict[str, Split]:
    """Samples and labels of ``train`` and ``test``."""
    known = {"x_train", "y_train", "x_test", "y_test", *CLASS_NAMES, *sum(SINGLE, ())}
    others = [name for name in arrays if name not in known]
    if "x_train" in arrays and "x_test" in arrays:
        found = {s: (arrays[f"x_{s}"], arrays.get(f"y_{s}")) for s in ("train", "test")}
    else:
        pairs = [("x_train", "y_train"), ("x_test", "y_test"), *SINGLE]
        pair = next((pair for pair in pairs if pair[0] in arrays), None)
        if pair is None and len(others) == 1 and len(arrays) == 1:
            pair = others.pop(), ""
        if pair is None:
            raise DataError(
                f"{where}: must have x_train and x_test, or one array; "
                f"{', '.join(arrays) or 'none'} came; {REMEDY}"
            )
        one = arrays[pair[0]], arrays.get(pair[1])
        found = {"train": one, "test": one}
        notes.append(f"calibrated and tested on the same samples, {pair[0]}: there are no others")
    if others:
        notes.append(f"arrays left out: {', '.join(others)}")
    for split, (samples, _) in found.items():
        if samples.ndim < 2 or not len(samples):
            raise DataError(
                f"{where}: x_{split} must have samples along its first axis; shape "
                f"{samples.shape} came; {REMEDY}"
            )
    return found


def _values(array: NDArray[Any], where: str) -> NDArray[Any]:
    """Bytes as they are, floats as float32; anything else is an error."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise DataError(
            f"{where}: must be uint8, bytes of pictures, or floats as the network sees them; "
            f"{array.dtype} came; convert it with .astype(numpy.uint8) or .astype(numpy.float32)"
        )
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    n_odd = int((~np.isfinite(values)).sum())
    if n_odd:
        raise DataError(
            f"{where}: must be finite in float32; {n_odd} values of NaN or infinity came; mend "
            "them, or take these samples out"
        )
    return values


def _labels(labels: NDArray[Any] | None, where: str) -> NDArray[Any] | None:
    """Integers from 0 on, or text, one a sample."""
    if labels is None:
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1 and labels.dtype.kind in "US":
        return labels.astype(str)
    if labels.ndim > 2:
        raise DataError(
            f"{where}: must be one integer or text a sample; masks or other labels of the shape "
            f"{labels.shape} came, which are not read from a file; leave the array out: a run then "
            "measures agreement and SQNR, and Compiled.run returns outputs to compare with masks"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: must be one integer or text a sample; {labels.dtype} {labels.shape} came; "
            "of one-hot rows take .argmax(1)"
        )
    if len(labels) and labels.min() < 0:
        raise DataError(
            f"{where}: classes must count from 0; {labels.min()} came; leave the array out where "
            "nothing is labelled"
        )
    return labels.astype(np.int64)


def _classes(
    arrays: Arrays, labels: dict[str, NDArray[Any] | None], where: str
) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """Class names, and the index of every sample's; none of both without labels."""
    given = next((arrays[name] for name in CLASS_NAMES if name in arrays), None)
    if given is not None and (given.ndim != 1 or given.dtype.kind not in "US"):
        raise DataError(
            f"{where}: class_names must be text, one a class; {given.dtype} {given.shape} came; "
            "write numpy.array(['cat', 'dog'])"
        )
    names = () if given is None else tuple(str(name) for name in given.astype(str))
    present = {split: found for split, found in labels.items() if found is not None}
    if not present:
        return (), {}
    if len(present) < len(labels):
        (missing,) = set(labels) - set(present)
        raise DataError(
            f"{where}: y_train and y_test must both be there, or none; y_{missing} is missing; "
            "add it, or leave both out"
        )
    if all(found.dtype.kind == "U" for found in present.values()):
        names = names or tuple(sorted({str(n) for found in present.values() for n in found}))
        index = {name: i for i, name in enumerate(names)}
        unknown = sorted({str(n) for found in present.values() for n in found} - set(names))
        if unknown:
            raise DataError(
                f"{where}: labels must be of class_names; {unknown[0]!r} is none; correct one of "
                "the two"
            )
        return names, {
            split: np.array([index[str(n)] for n in found], np.int64)
            for split, found in present.items()
        }
    if any(found.dtype.kind == "U" for found in present.values()):
        raise DataError(f"{where}: labels must be integers or text in both splits; mend one")
    top = max((int(found.max()) for found in present.values() if len(found)), default=-1)
    names = names or tuple(str(i) for i in range(top + 1))
    if top >= len(names):
        raise DataError(
            f"{where}: labels must lie in 0..{len(names) - 1}, the class_names; {top} came; "
            "correct one of the two"
        )
    return names, present


def _fitted(
    array: NDArray[Any], input_shape: Shape | None, where: str, notes: list[str]
) -> NDArray[Any]:
    """Samples as (N, C, H, W) of the network's shape."""
    sizes = array.shape[1:]
    if input_shape is None:
        if len(sizes) > 3:
            raise DataError(
                f"{where}: must be (N, C, H, W) at most; {array.shape} came; reshape it"
            )
        missing = (1,) * (3 - len(sizes))
        # A vector is all channels, a sequence or a grey picture has its last axes behind.
        shape = (*sizes, *missing) if len(sizes) == 1 else (*sizes[:1], *missing, *sizes[1:])
        return array.reshape(len(array), *shape)
    if _long_axes(sizes) == _long_axes(input_shape):
        return array.reshape(len(array), *input_shape)
    is_bytes = array.dtype == np.uint8
    channels = input_shape[0]
    if is_bytes and len(sizes) == 3 and sizes[2] in (1, channels) and sizes[0] not in (1, channels):
        notes.append(f"{where}: channels, the last axis of {array.shape}, taken to be the first")
        array = np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    elif is_bytes and len(sizes) == 2:
        array = array[:, None]
    if is_bytes and array.ndim == 4 and array.shape[1] in (1, channels):
        if array.shape[2:] != input_shape[1:]:
            was, now = (" x ".join(map(str, s)) for s in (array.shape[2:], input_shape[1:]))
            notes.append(f"{where}: pictures of {was} resized to {now}")
        return fit_images(array, input_shape, where)
    raise DataError(
        f"{where}: samples must have the network's input, {_as_written(input_shape)}; "
        f"{tuple(sizes)} came; reshape the array, or change the network's input_shape"
    )


def _as_written(shape: Shape) -> str:
    """The network's input as its owner has it: vectors and sequences have fewer axes than (C, H,
    W)."""
    channels, rows, columns = shape
    if rows != 1:
        return f"{shape} (C, H, W)"
    short = f"({channels},) (F,)" if columns == 1 else f"({channels}, {columns}) (C, L)"
    return f"{short} or {shape} (C, H, W)"


def _long_axes(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length 1, which say nothing of the order of values."""
    return tuple(size for size in sizes if size != 1)
