# SPDX-License-Identifier: Apache-2.0
"""How fast cores may fire, so that sources get even shares of the destinations they share.

A core can fire a spike every cycle, while its destinations need ten cycles and more for each. The
faster of two sources would take the larger share of a common destination, end early and leave the
other to finish alone. With a least distance between spikes (``mode.gap``) all sources of a layer
take about as long.
"""

from dataclasses import replace

import numpy as np

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.widths import GAP_WIDTH

from ..activity import Activity
from .estimate import spikes_of
from .flows import Flows
from .steady_schedule import firing

# The gaps' share of the expected time of firing. The nearer to one, the more even the shares, but
# the longer a destination waits where spikes cost less than on average, as at borders. Measured on
# tiny_vgg, interval over that of the busiest core: share 1.00: 1.10, 0.85: 1.06, 0.7: 1.04, 0.5:
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
