# SPDX-License-Identifier: Apache-2.0
"""Windows of poolings along one axis, and what an average over each is divided by."""

from dataclasses import dataclass, replace
from itertools import pairwise

from stemcore.golden.spec.windows import Spans, window_count


@dataclass(frozen=True)
class Windows:
    """Windows over an axis of ``size`` positions.

    Attributes
    ----------
    spans : (start, stop) each, within the axis
    counts : positions that an average over each is divided by; padding may be among them
    window : (kernel, stride, padding), where these make the windows; else None
    """

    size: int
    spans: Spans
    counts: tuple[int, ...]
    window: tuple[int, int, int] | None = None

    def alike(self, count: int) -> "Windows":
        """The same windows, all of them divided by ``count``."""
        return replace(self, counts=(count,) * len(self.spans))


def pool_windows(
    size: int, n_outputs: int, kernel: int, stride: int, padding: int, *, counts_padding: bool
) -> Windows:
    """Windows of torch's poolings.

    There are ``n_outputs``, since ``ceil_mode`` has one more that begins within the axis and ends
    behind its padding. ``counts_padding`` as ``count_include_pad``: what lies behind the padding
    never counts.
    """
    starts = [o * stride - padding for o in range(n_outputs)]
    spans = tuple((max(0, start), min(size, start + kernel)) for start in starts)
    counts = tuple(
        min(start + kernel, size + padding) - start if counts_padding else stop - first
        for start, (first, stop) in zip(starts, spans, strict=True)
    )
    is_whole = n_outputs == window_count(size, kernel, stride, padding)
    return Windows(size, spans, counts, (kernel, stride, padding) if is_whole else None)


def adaptive_windows(size: int, n_outputs: int) -> Windows:
    """Windows of torch's adaptive poolings.

    Window i reaches from floor(i * size / n) to ceil((i + 1) * size / n).
    """
    spans = tuple(
        (i * size // n_outputs, -(-(i + 1) * size // n_outputs)) for i in range(n_outputs)
    )
    return span_windows(size, spans)


def span_windows(size: int, spans: Spans) -> Windows:
    """Windows that are ``spans``, in order, each divided by its own length."""
    lengths = tuple(stop - start for start, stop in spans)
    steps = {b[0] - a[0] for a, b in pairwise(spans)} or {lengths[0]}
    kernel, stride = lengths[0], next(iter(steps))
    is_even = (
        len(set(lengths)) == len(steps) == 1
        and spans[0][0] == 0
        and stride > 0
        and len(spans) == window_count(size, kernel, stride, 0)
    )
    return Windows(size, spans, lengths, (kernel, stride, 0) if is_even else None)
