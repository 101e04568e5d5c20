# SPDX-License-Identifier: Apache-2.0
"""Positions of the windows of convolutions and poolings. Standard library only.

Along one axis, output ``o`` of a kernel of ``kernel`` positions with ``stride`` and ``padding``
reads the positions ``o * stride - padding .. o * stride - padding + kernel - 1`` of its source;
those outside ``0 .. size - 1`` are padding. Both sides have the same padding, and the last
positions may be left unread, as in torch.
"""

Pair = tuple[int, int]  # in y and x


def window_count(size: int, kernel: int, stride: int, padding: int) -> int:
    """Outputs along an axis of ``size`` source positions; not positive where none fits."""
    return (size + 2 * padding - kernel) // stride + 1


def window_shape(source: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Height and width of the output over a source of height and width ``source``."""
    return (
        window_count(source[0], kernel[0], stride[0], padding[0]),
        window_count(source[1], kernel[1], stride[1], padding[1]),
    )


def window_span(outputs: Pair, size: int, kernel: int, stride: int, padding: int) -> Pair:
    """Source positions (first, one after the last) that the outputs ``outputs[0]`` up to but not
    including ``outputs[1]`` read, without padding."""
    first = outputs[0] * stride - padding
    stop = (outputs[1] - 1) * stride - padding + kernel
    return max(0, first), min(size, stop)
