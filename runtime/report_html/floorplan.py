# SPDX-License-Identifier: Apache-2.0
"""The mesh: every core coloured by how long it is busy, every link by what crosses it."""

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.routing import HOST, Node

from ..report.screen import shortened
from .colours import BUSY, LINK, colours_of, gradient, ink_on
from .run import Run
from .text import compact, escape, missing, scrolled, section

WIDTH = 1100  # of the drawing at most
PITCH = (30, 130)  # from node to node, at least and at most
CELL = 0.64  # of the pitch; links take the rest
NAME_CELL, NUMBER_CELL = 44, 62  # smallest cells with a name, and with a figure below it
LETTER = 7.6  # width of a letter of a name, wide fonts included


def floorplan_section(run: Run) -> str:
    """The mesh and its legend."""
    if run.program is None:
        why = f"Engine '{run.engine}' places nothing: a floorplan needs a chip (SIM=program, ..)."
        return section("floorplan", "Floorplan", [missing(why)])
    busy = busy_cycles(run)
    drawing = _Drawing(run.program).draw(busy, dict(run.loads.links))
    drawing = f"<figure>{scrolled(drawing, 'floorplan')}</figure>"
    return section(
        "floorplan",
        "Floorplan",
        [f'<div class="plan">{drawing}{_legend(run, busy)}</div>'],
        "Per image: cycles in which a core adds weights, and spikes that cross a link.",
    )


def busy_cycles(run: Run) -> dict[Node, float]:
    """Cycles per image in which the dendrite of each core adds, by node."""
    assert run.program is not None
    if run.counters is not None:
        n = len(run.images)
        return {(c.x, c.y): run.counters[c.x, c.y]["busy"] / n for c in run.program.cores}
    received = run.loads.received()
    return {(c.x, c.y): float(received[i]) for i, c in enumerate(run.program.cores)}


def _legend(run: Run, busy: dict[Node, float]) -> str:
    assert run.program is not None
    core = max(run.program.cores, key=lambda c: busy[c.x, c.y])
    scales = [(BUSY, "busy cycles of a core", busy[core.x, core.y])]
    cycles = compact(busy[core.x, core.y])
    said = [f"Busiest core: {_node((core.x, core.y))}, {core.layer}, {cycles} cycles."]
    if run.loads.links:
        (start, end), load = max(run.loads.links.items(), key=lambda item: item[1])
        scales.append((LINK, "spikes over a link", load))
        said.append(f"Busiest link: {_node(start)} to {_node(end)}, {compact(load)} spikes.")
    marks = "".join(
        f'<div class="scale"><span>{title}</span><i style="{gradient(scale)}"></i>'
        f"<small><span>0</span><span>{compact(most)}</span></small></div>"
        for scale, title, most in scales
    )
    return f"<aside>{marks}{''.join(f'<p>{escape(line)}</p>' for line in said)}</aside>"


def _node(node: Node) -> str:
    return "host" if node == HOST else f"({node[0]}, {node[1]})"


class _Drawing:
    """Geometry of a mesh; the host stands in a row of its own above node (0, 1)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.pitch = min(PITCH[1], max(PITCH[0], WIDTH // program.columns))
        self.cell = round(self.pitch * CELL)
        self.host = max(22, self.cell // 3)
        # Centre of row 0, so that the host's link is as long as the others.
        self.gap = self.pitch - self.cell

    def _centre(self, node: Node) -> tuple[float, float]:
        x = 1 + self.cell / 2 + node[0] * self.pitch
        if node == HOST:
            return x, 1 + self.host / 2
        first = 1 + self.host + self.gap + self.cell / 2
        return x, first + (node[1] - 1) * self.pitch

    def _half(self, node: Node) -> float:
        return (self.host if node == HOST else self.cell) / 2

    def draw(self, busy: dict[Node, float], links: dict[tuple[Node, Node], float]) -> str:
        """The SVG."""
        program = self.program
        width = (program.columns - 1) * self.pitch + self.cell + 2
        height = self.host + self.gap + (program.rows - 1) * self.pitch + self.cell + 2
        cores = {(core.x, core.y): core for core in program.cores}
        most = max(busy.values()) or 1
        nodes = [(x, y) for y in range(1, program.rows + 1) for x in range(program.columns)]
        most_link = max(links.values(), default=0) or 1
        parts = [self._arrow(*link, load, load / most_link) for link, load in sorted(links.items())]
        parts.append(self._host())
        parts += [
            self._core(cores[node], busy[node], busy[node] / most)
            if node in cores
            else self._unused(node)
            for node in nodes
        ]
        return (
            f'<svg class="mesh" style="--natural:{width}px" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" '
            f'aria-label="mesh of {program.columns} by {program.rows} nodes">\n'
            + "\n".join(parts)
            + "\n</svg>"
        )

    def _box(self, node: Node, size: float, look: str, inside: str) -> str:
        x, y = self._centre(node)
        return (
            f'<g><rect x="{x - self.cell / 2:g}" y="{y - size / 2:g}" width="{self.cell}" '
            f'height="{size:g}" rx="{min(5, self.cell / 8):g}" {look}/>{inside}</g>'
        )

    def _host(self) -> str:
        x, y = self._centre(HOST)
        text = f'<text class="host" x="{x:g}" y="{y + 4:g}">host</text>'
        return self._box(HOST, self.host, 'class="host"', text)

    def _unused(self, node: Node) -> str:
        return self._box(
            node, self.cell, 'class="unused"', f"<title>{_node(node)}: no core</title>"
        )

    def _core(self, core: CoreImage, cycles: float, share: float) -> str:
        node = (core.x, core.y)
        x, y = self._centre(node)
        inside = f"<title>{escape(f'{_node(node)} {core.layer}: {cycles:,.0f} cycles')}</title>"
        ink = f'style="{ink_on(share)}"'
        if self.cell >= NAME_CELL:
            name = escape(shortened(core.layer, int((self.cell - 4) / LETTER)))
            up = 3 if self.cell >= NUMBER_CELL else -4
            inside += f'<text class="name on" x="{x:g}" y="{y - up:g}" {ink}>{name}</text>'
        if self.cell >= NUMBER_CELL:
            inside += f'<text class="on" x="{x:g}" y="{y + 13:g}" {ink}>{compact(cycles)}</text>'
        return self._box(
            node, self.cell, f'class="scaled" style="{colours_of(BUSY, share)}"', inside
        )

    def _arrow(self, start: Node, end: Node, load: float, share: float) -> str:
        """From box to box; the two ways between nodes lie side by side."""
        (x0, y0), (x1, y1) = self._centre(start), self._centre(end)
        dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        aside = self.cell * 0.16
        x0 += dx * self._half(start) - dy * aside
        y0 += dy * self._half(start) + dx * aside
        length = self.gap
        half = (1 + 3 * share) * min(1.0, self.pitch / 100)
        head, wide = min(length * 0.4, 4 + 2 * half), half + max(2, 3 * self.pitch / 100)
        along = (0, 0, length - head, length - head, length, length - head, length - head)
        across = (-half, half, half, wide, 0, -wide, -half)
        points = " ".join(
            f"{x0 + dx * a - dy * b:.1f},{y0 + dy * a + dx * b:.1f}"
            for a, b in zip(along, across, strict=True)
        )
        said = escape(f"{_node(start)} to {_node(end)}: {load:,.0f} spikes")
        return (
            f'<polygon class="link scaled" points="{points}" style="{colours_of(LINK, share)}">'
            f"<title>{said}</title></polygon>"
        )
