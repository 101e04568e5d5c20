# SPDX-License-Identifier: Apache-2.0
"""Covers sets of nodes by few rectangles; the links that a packet to a rectangle takes."""

from collections.abc import Iterable

from stemcore.golden.spec.routing import HOST, Node, Rectangle

Link = tuple[Node, Node]


def cover(nodes: Iterable[Node]) -> tuple[Rectangle, ...]:
    """Disjoint rectangles that hold exactly ``nodes``; sorted. The host has one of its own.

    The better of three greedy covers (rows merged downward, columns merged rightward, largest
    rectangle first), which is the fewest for all but contrived sets.
    """
    wanted = frozenset(nodes)
    if len(wanted) == 1:
        ((x, y),) = wanted
        return ((x, y, x, y),)
    if HOST in wanted:
        return ((*HOST, *HOST), *cover(wanted - {HOST}))
    by_row = _merge_runs(wanted)
    if len(by_row) <= 1:
        return tuple(by_row)
    flipped = _merge_runs({(y, x) for x, y in wanted})
    by_column = [(x0, y0, x1, y1) for y0, x0, y1, x1 in flipped]
    best = min(by_row, by_column, key=len)
    if len(best) > 2:
        best = min(best, _largest_first(set(wanted)), key=len)
    return tuple(sorted(best))


def _merge_runs(nodes: "frozenset[Node] | set[Node]") -> list[Rectangle]:
    """Maximal runs of every row; equal runs in consecutive rows become one rectangle."""
    done: list[Rectangle] = []
    growing: dict[tuple[int, int], Rectangle] = {}
    last_row = None
    for y in sorted({y for _, y in nodes}):
        columns = sorted(x for x, row in nodes if row == y)
        runs: list[tuple[int, int]] = []
        start = previous = columns[0]
        for x in columns[1:]:
            if x != previous + 1:
                runs.append((start, previous))
                start = x
            previous = x
        runs.append((start, previous))
        above: dict[tuple[int, int], Rectangle] = growing if last_row == y - 1 else {}
        now = {run: (run[0], above[run][1] if run in above else y, run[1], y) for run in runs}
        done += [r for run, r in growing.items() if run not in now or above is not growing]
        growing, last_row = now, y
    return done + list(growing.values())


def _largest_first(nodes: set[Node]) -> list[Rectangle]:
    found = []
    while nodes:
        best: Rectangle | None = None
        area = 0
        for x0, y0 in sorted(nodes):
            x_end, y1 = None, y0
            while (x0, y1) in nodes:
                x1 = x0
                while (x1 + 1, y1) in nodes and (x_end is None or x1 < x_end):
                    x1 += 1
                x_end = x1
                size = (x1 - x0 + 1) * (y1 - y0 + 1)
                if size > area:
                    best, area = (x0, y0, x1, y1), size
                y1 += 1
        assert best is not None
        found.append(best)
        nodes -= {(x, y) for x in range(best[0], best[2] + 1) for y in range(best[1], best[3] + 1)}
    return found


def nodes_of(rectangle: Rectangle) -> list[Node]:
    """Nodes of a rectangle, column by column."""
    x0, y0, x1, y1 = rectangle
    return [(x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)]


def links_of(source: Node, rectangle: Rectangle) -> list[Link]:
    """Links that a packet takes: along the row first, then along every column."""
    if source == HOST:
        return [(HOST, (0, 1)), *links_of((0, 1), rectangle)]
    x0, y0, x1, y1 = rectangle
    x, y = source
    west, east = min(x0, x), max(x1, x)
    links = [((i + 1, y), (i, y)) for i in range(west, x)]
    links += [((i, y), (i + 1, y)) for i in range(x, east)]
    north, south = min(y0, y), max(y1, y)
    for i in range(x0, x1 + 1):
        links += [((i, j + 1), (i, j)) for j in range(north, y)]
        links += [((i, j), (i, j + 1)) for j in range(y, south)]
    return links
