# SPDX-License-Identifier: Apache-2.0
"""Window positions against a search over all of them."""

import itertools

import pytest

from stemcore.golden.spec.windows import (
    check_spans,
    window_count,
    window_shape,
    window_span,
    window_spans,
)

GEOMETRIES = list(itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (4, 7)))
WITH_READS = [g for g in GEOMETRIES if g[2] < g[0]]  # no window of padding alone


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), GEOMETRIES)
def test_windows_are_counted_as_they_fit_into_the_padded_axis(kernel, stride, padding, size):
    padded = range(-padding, size + padding)
    starts = range(-padding, size + padding, stride)
    fitting = [start for start in starts if start + kernel - 1 in padded]
    assert max(0, window_count(size, kernel, stride, padding)) == len(fitting)


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), WITH_READS)
def test_a_span_of_outputs_reads_every_position_of_its_windows(kernel, stride, padding, size):
    for outputs in itertools.combinations(
        range(window_count(size, kernel, stride, padding) + 1), 2
    ):
        read = {o * stride - padding + k for o in range(*outputs) for k in range(kernel)}
        inside = sorted(read & set(range(size)))
        span = window_span(outputs, size, kernel, stride, padding)
        assert span == (inside[0], inside[-1] + 1)


def test_shape_takes_each_axis_with_its_own_sizes():
    assert window_shape((7, 32), (3, 5), (2, 1), (1, 0)) == (4, 28)


def test_spans_are_the_windows_one_by_one():
    assert window_spans(7, 3, 2, 1) == ((0, 2), (1, 4), (3, 6), (5, 7))
    assert window_spans(2, 3, 1, 0) == ()


@pytest.mark.parametrize(
    "spans", [(), ((0, 0),), ((-1, 2),), ((2, 5),), ((1, 2), (0, 3)), ((0, 3), (1, 2))]
)
def test_windows_outside_or_out_of_order_are_refused(spans):
    check_spans(((0, 1), (0, 4), (2, 4)), 4, "pool")
    with pytest.raises(
        ValueError, match=r"^pool: windows must hold positions of 0\.\.3 and follow"
    ):
        check_spans(spans, 4, "pool")
