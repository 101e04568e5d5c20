# SPDX-License-Identifier: Apache-2.0
"""Spike rasters: neurons of a population over the time steps of the first image."""

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.network.network import INPUT, Population

from ..report.screen import amount
from .run import Run
from .text import compact, escape, percent, scrolled, section

SAMPLE = 400  # neurons that are drawn at most
PLOT, ROW = 800, 22  # width of the raster; height of a time step
LEFT, RIGHT, TOP, BOTTOM = 128, 172, 24, 26
PITCH = 24  # from neuron to neuron at most
TRACK = 80  # width of the longest bar of spikes


def sample(n: int) -> NDArray[np.int64]:
    """Indices of the neurons that are drawn: all, or ``SAMPLE`` of them, evenly spread."""
    return np.linspace(0, n - 1, min(n, SAMPLE)).astype(np.int64)


def raster_section(run: Run) -> str:
    """A raster for every population, one of them shown; the others wait for the page's script."""
    shown = run.populations[1].name
    options, rasters = [], []
    for number, population in enumerate(run.populations):
        name = "input (fired by the host)" if population.name == INPUT else population.name
        chosen = population.name == shown
        options.append(
            f'<option value="raster-{number}"{" selected" if chosen else ""}>'
            f"{escape(name)}</option>"
        )
        shape = run.shape_text(population.name)
        trains = encode(run.values(population.name)[0], population.bits, population.is_signed)
        rasters.append(
            f'<figure class="raster" id="raster-{number}"{"" if chosen else " hidden"}>'
            f"<figcaption>{_caption(name, shape, population, trains)}</figcaption>"
            f"{scrolled(draw(population, trains), 'spikes')}</figure>\n"
        )
    choice = (
        '<p class="choice" hidden><label for="raster-choice">layer</label> '
        f'<select id="raster-choice">{"".join(options)}</select></p>\n'
    )
    return section(
        "raster",
        "Spikes",
        [choice, *rasters],
        f"First image, engine '{run.engine}'. A column is an output, a row a time step; a spike "
        "at a step weighs half of one at the step before.",
    )


def _caption(name: str, shape: str, population: Population, trains: NDArray[np.uint8]) -> str:
    n = int(np.prod(population.shape))
    drawn = len(sample(n))
    which = f"all {n:,}" if drawn == n else f"{drawn} of {n:,}, evenly spread"
    return (
        f"<b>{escape(name)}</b> {shape} · outputs drawn: {which} · "
        f"{amount(int(trains.sum()), 'spike')}, {percent(float(trains.mean()), 1)} of all that "
        "could be"
    )


def draw(population: Population, trains: NDArray[np.uint8]) -> str:
    """SVG of trains (T, C, H, W): a mark for every spike of the sampled neurons, and beside each
    time step the spikes of all neurons.
    """
    steps = len(trains)
    flat = trains.reshape(steps, -1)
    drawn = flat[:, sample(flat.shape[1])]
    pitch = max(1, min(PITCH, PLOT // drawn.shape[1]))
    width = drawn.shape[1] * pitch
    full_width, height = LEFT + width + RIGHT, TOP + steps * ROW + BOTTOM
    totals = flat.sum(axis=1)
    parts = [
        f'<text class="head" x="{LEFT - 12}" y="14" text-anchor="end">step, weight</text>',
        f'<text class="head" x="{LEFT + width + 16}" y="14">spikes of all</text>',
    ]
    for t in range(steps):
        top = TOP + t * ROW
        weight = population.code.weight(t)
        parts.append(
            f'<rect class="row{" odd" if t % 2 else ""}" x="{LEFT}" y="{top}" width="{width}" '
            f'height="{ROW}"/>'
            f'<text x="{LEFT - 76}" y="{top + 15}" text-anchor="end">t = {t}</text>'
            f'<text x="{LEFT - 12}" y="{top + 15}" text-anchor="end">{_signed(weight)}</text>'
            f'<rect class="total" x="{LEFT + width + 16}" y="{top + 5}" '
            f'width="{TRACK * totals[t] / max(1, totals.max()):.1f}" height="{ROW - 10}"/>'
            f'<text x="{LEFT + width + 16 + TRACK + 8}" y="{top + 15}">'
            f"{compact(int(totals[t]))}</text>"
        )
    marks = "".join(
        f"M{LEFT + (i + 0.5) * pitch:g} {TOP + t * ROW + 3}v{ROW - 6}"
        for t, i in np.argwhere(drawn)
    )
    parts.append(f'<path class="spikes" d="{marks}" stroke-width="{max(1, 0.7 * pitch):g}"/>')
    bottom = TOP + steps * ROW + 17
    parts.append(
        f'<text x="{LEFT}" y="{bottom}">output 0</text>'
        f'<text x="{LEFT + width}" y="{bottom}" text-anchor="end">{flat.shape[1] - 1:,}</text>'
        if width > 160
        else ""
    )
    return (
        f'<svg viewBox="0 0 {full_width} {height}" width="{full_width}" height="{height}" '
        f'role="img" aria-label="spikes of {escape(population.name)}">{"".join(parts)}</svg>'
    )


def _signed(weight: int) -> str:
    return f"{weight:,}".replace("-", "−")
