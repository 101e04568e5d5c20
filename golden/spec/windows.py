# SPDX-License-Identifier: Apache-2.0
"""Positions of the windows of convolutions and poolings. Standard library only.

Along one axis, output ``o`` of a kernel of ``kernel`` positions with ``stride`` and ``padding``
reads the positions ``o * stride - padding .. o * stride - padding + kernel - 1`` of its source;
those outside ``0 .. size - 1`` are padding. Both sides have the same padding, and the last
positions may be left unread, as in torch.
"""

from itertools import pairwise

Pair = tuple[int, int]  # in y and x
Spans = tuple[Pair, ...]  # windows (start, stop) along an axis


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


def window_spans(size: int, kernel: int, stride: int, padding: int) -> Spans:
    """Every output's window (start, stop) along an axis of ``size`` positions, without padding."""
    n_outputs = window_count(size, kernel, stride, padding)
    return tuple(window_span((o, o + 1), size, kernel, stride, padding) for o in range(n_outputs))


def check_spans(spans: Spans, size: int, where: str) -> None:
    """``ValueError`` unless no window is empty or outside, and starts and stops never decrease."""
    bad = [span for span in spans if not 0 <= span[0] < span[1] <= size]
    falls = [(a, b) for a, b in pairwise(spans) if a[0] > b[0] or a[1] > b[1]]
    if bad or falls or not spans:
        raise ValueError(
            f"{where}: windows must hold positions of 0..{size - 1} and follow each other, got "
            f"{bad or falls or 'none'}"
        )
