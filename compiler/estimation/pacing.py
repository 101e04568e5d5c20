# SPDX-License-Identifier: Apache-2.0
"""How fast cores may fire: sources that share destinations get their shares of them in turn.

A core fires one spike a cycle, its destinations take ten and more for one. Whoever of two sources
sends faster takes more of a destination they share, ends early, and leaves the other to finish
alone. With a least distance of spikes (``mode.gap``) all sources of a layer take about as long.
"""

from dataclasses import replace

import numpy as np

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.fields import GAP_WIDTH, Control, Formats, Memory

from ..activity import Activity
from .estimate import spikes_of
from .flows import Flows
from .steady_schedule import firing

# Share of the expected time of firing that the gaps take. The nearer to one, the evener the shares,
# and the longer a destination waits where spikes cost less than on average, as at borders. Measured
# on tiny_vgg, interval against that of the busiest core: 1.00: 1.10, 0.85: 1.06, 0.7: 1.04, 0.5:
# 1.03; without gaps 1.12.
PACE = 0.5


def set_gaps(program: Program, activity: Activity | None = None) -> Program:
    """The program with ``mode.gap`` of every core set for the expected spikes.

    Nothing else changes: results do not depend on when spikes are sent.
    """
    flows = Flows(program)
    loads = flows.loads(spikes_of(program, activity))
    duration = firing(flows, loads)
    longest = {
        layer: max(duration[n] for n in range(flows.host) if flows.layers[n] == layer)
        for layer in set(flows.layers[: flows.host])
    }
    cores = []
    for number, image in enumerate(program.cores):
        packets = max(1.0, float(loads.packets[number]))
        gap = int(PACE * longest[image.layer] / packets)
        cores.append(_with_gap(program, image, min(gap, (1 << GAP_WIDTH) - 1)))
    return replace(program, cores=tuple(cores))


def _with_gap(program: Program, image: CoreImage, gap: int) -> CoreImage:
    mode = Formats(program.params).mode
    control = image.memories[Memory.CONTROL].copy()
    fields = mode.unpack(int(control[Control.MODE, 0]))
    control[Control.MODE, 0] = np.uint32(mode.pack(**{**fields, "gap": gap}))
    return replace(image, memories={**image.memories, Memory.CONTROL: control})
