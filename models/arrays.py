# SPDX-License-Identifier: Apache-2.0
"""Types of the arrays and shapes that the models room passes around."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]  # images (N, C, H, W) or (C, H, W)
Images = NDArray[Any]  # bytes, or float32 as the network sees them: (N, C, H, W)
Labels = NDArray[np.int64]  # class indices, one an image
Floats = NDArray[np.float64]
Shape = tuple[int, int, int]  # of one image: C, H, W
