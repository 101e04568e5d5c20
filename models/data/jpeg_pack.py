# SPDX-License-Identifier: Apache-2.0
"""Reader of packed JPEG files: many small JPEGs that share one header, in one npz archive.

Image i is ``header`` + the next ``length[i]`` bytes of ``data`` + the end marker ``ff d9``; the
first ``len(y_train)`` images are training images, the rest test images. Nothing in the archive is
unpickled.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stemcore.numpy_files import read_arrays

from ..arrays import Bytes, Labels, Shape
from ..errors import DataError

FIELDS = ("header", "length", "data", "y_train", "y_test")
END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True)
class JpegPack:
    """An opened pack: labels of both splits, and images decoded on demand."""

    path: Path
    header: bytes
    offsets: Labels
    data: Bytes
    y_train: Labels
    y_test: Labels

    def decode(self, start: int, stop: int, shape: Shape) -> Bytes:
        """Images ``start <= i < stop`` as uint8 (N, C, H, W); shape is the (C, H, W) expected.

        Raises :exc:`DataError` naming the image that does not decode to that shape.
        """
        channels, height, width = shape
        images = np.empty((stop - start, height, width, channels), np.uint8)
        for i in range(start, stop):
            body = self.data[self.offsets[i] : self.offsets[i + 1]].tobytes()
            try:
                with Image.open(io.BytesIO(self.header + body + END_OF_IMAGE)) as picture:
                    # Before anything is decoded: a header of some bytes may state gigapixels.
                    if picture.size != (width, height):
                        raise DataError(
                            f"{self.path} image {i}: must be {height} x {width} pixels; "
                            f"{picture.height} x {picture.width} came; get the file again"
                        )
                    pixels = np.asarray(picture.convert("RGB" if channels == 3 else "L"))
            except DataError:
                raise
            except Exception as error:  # decoders of damaged files raise errors of any kind
                raise DataError(
                    f"{self.path} image {i}: must be a JPEG; the decoder says "
                    f"{error}; get the file again"
                ) from error
            images[i - start] = pixels.reshape(height, width, channels)
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def open_pack(path: Path | str) -> JpegPack:
    """The pack at ``path``. Raises :exc:`DataError` when its arrays do not fit together."""
    try:
        stored = read_arrays(path)
    except (ValueError, OSError) as error:
        raise DataError(
            f"{path}: must be an npz archive without pickled objects; reading it "
            f"gave {error}; get the file again"
        ) from error
    arrays = {} if isinstance(stored, np.ndarray) else stored
    missing = [name for name in FIELDS if name not in arrays]
    if missing:
        raise DataError(
            f"{path}: a JPEG pack must hold {', '.join(FIELDS)}; "
            f"{', '.join(missing)} missing; get the file again"
        )
    odd = [
        f"{name} {arrays[name].dtype} {arrays[name].shape}"
        for name in FIELDS
        if arrays[name].ndim != 1
        or arrays[name].dtype.kind not in "iu"
        or (name in ("header", "data") and arrays[name].dtype != np.uint8)
    ]
    if odd:
        raise DataError(
            f"{path}: a JPEG pack must hold lists of integers, header and data as bytes; "
            f"{', '.join(odd)} came; get the file again"
        )
    length = arrays["length"].astype(np.int64)
    n_labels = len(arrays["y_train"]) + len(arrays["y_test"])
    if len(length) != n_labels or length.sum() != arrays["data"].size or (length < 0).any():
        raise DataError(
            f"{path}: lengths must cover the data and there must be one label per "
            f"image; {len(length)} lengths over {length.sum()} of "
            f"{arrays['data'].size} bytes and {n_labels} labels came; get the file "
            "again"
        )
    return JpegPack(
        path=Path(path),
        header=arrays["header"].tobytes(),
        offsets=np.concatenate([[0], np.cumsum(length)]),
        data=arrays["data"],
        y_train=arrays["y_train"].astype(np.int64),
        y_test=arrays["y_test"].astype(np.int64),
    )
