# SPDX-License-Identifier: Apache-2.0
"""Energy of a run, by two models, from the gateware's own counters.

``paper``: an addition per synaptic operation, nothing else (arXiv 2505.12221, section IV); the ANN
in it is its multiply-accumulates alone.
``memory``: additions of the true width, every memory word read or written, multiplications of the
soma, and links. Both at 45 nm (M. Horowitz, ISSCC 2014: additions of 8 and 32 bits, products of 8
and 32 bits, 64 bits from 8 KB of SRAM); clock, leakage and control are in neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from stemcore.compiler.estimation.flows import Flows
from stemcore.golden.network.network import INPUT
from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, MULTIPLIER_WIDTH, WEIGHT_WIDTH

SOP_PJ = 0.03  # an 8-bit addition; MAC_PJ an 8-bit multiply-accumulate
MAC_PJ = 0.23
PAPER_MODEL = (
    f"{SOP_PJ} pJ per SOP (8-bit addition, 45 nm); memories and network not counted; the ANN on "
    f"the same model: {MAC_PJ} pJ per MAC"
)
ADD_PJ = (0.03, 0.1)  # of 8 and of 32 bits; linear between
PRODUCT_PJ = 3.1 / 32**2  # a 32-bit product, by the product of the operands' widths
SRAM_PJ = 10.0 / 64  # one bit from 8 KB; grows with the square root of the size
SRAM_BYTES = 8192
LINK_PJ = 0.1  # one bit over one link of about a millimetre: our assumption
MEMORY_MODEL = (
    f"45 nm: additions at their width ({ADD_PJ[0]} pJ for 8 bits, {ADD_PJ[1]} pJ for 32), SRAM at "
    f"{SRAM_PJ:.3f} pJ per bit of 8 KB, growing with the square root of the size, links at "
    f"{LINK_PJ} pJ per bit and hop, router queues as SRAM; clock, leakage and control not counted"
)


def add_pj(width: int) -> float:
    """One addition of ``width`` bits."""
    return ADD_PJ[0] + (width - 8) * (ADD_PJ[1] - ADD_PJ[0]) / 24


def access_pj(width: int, depth: int) -> float:
    """One word of ``width`` bits read from or written to a memory of ``depth`` of them."""
    return SRAM_PJ * width * sqrt(width * depth / 8 / SRAM_BYTES)


# What the energy goes into, in the order of the work: report.json's names, and what they mean for
# the spiking network and for the ANN beside it.
PARTS = {
    "adds": ("additions", "multiply-accumulates"),
    "weights": ("weight memory", "weight memory"),
    "potentials": ("potential memory", "partial sums"),
    "loop_nests": ("spike queue, address tables", "input buffer"),
    "soma": ("soma", "soma"),
    "fire": ("activation scan, destinations", "activation reads"),
    "network": ("links and router queues", "links and router queues"),
}
ANN_MODEL = (
    "the same network as 8-bit multiply-accumulates on the same cores, tiles, memories and links: "
    "every activation arrives once, unpacked and zero or not; for each of its words of weights "
    "that word is read, and a word of partial sums read and written, as a spike does; activations "
    "wait in a buffer as long as the spike queue; they come in a fixed order, so that addresses "
    "need no table and links carry their bits alone; each update as in the spiking core. An "
    "accelerator that keeps partial sums in registers until they are finished spends nothing on "
    "their memory"
)


@dataclass(frozen=True)
class MemoryModel:
    """Energy of one core, counter by counter; the parts are those of ``PARTS``.

    ``weights`` and ``potentials``: words of the accumulate pipeline; ``adds``: its additions;
    ``loop_nests``: queue, descriptor and coordinate tables, once for every spike; ``soma``:
    constants, products, lookups, potentials and activations of the updates; ``fire``: the scan of
    the activations, and a destination for every packet; ``network``: links and queues of spikes.
    """

    formats: Formats

    def _access(self, memory: Memory) -> float:
        _, depth = self.formats.memory(memory)
        return access_pj(self.formats.word_width(memory), depth)

    def _potential(self, width: int) -> float:
        """A word of potentials of ``width`` bits, read or written."""
        p = self.formats.params
        return access_pj(p.lanes * width, p.n_acc_words)

    @property
    def _activation(self) -> float:
        """A word of activations, read or written."""
        p = self.formats.params
        return access_pj(p.lanes * ACTIVATION_WIDTH, p.n_fire_words)

    def core(self, image: CoreImage, counters: Mapping[str, float]) -> dict[str, float]:
        """Picojoules of everything that one core has counted."""
        p = self.formats.params
        n_fire, bits = self._control(image, Control.N_FIRE), self._bits(image)
        register = self._control(image, Control.INTEGRATION) if p.model.register else 0
        steps = p.model.n_periods(self.formats.integration.unpack(register))
        spike = self.formats.spike.width
        loop_nest = 2 * access_pj(spike, p.n_spikes) + sum(
            self._access(m) for m in (Memory.AXON, Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X)
        )
        flit = self.formats.flit.width
        return {
            "adds": counters["sops"] * add_pj(p.acc_width),
            "weights": counters["busy"] * self._access(Memory.WEIGHT),
            "potentials": counters["busy"] * 2 * self._potential(p.acc_width),
            "loop_nests": counters["spikes_in"] * loop_nest,
            "soma": counters["samples"] * self._update(image, p.acc_width, steps),
            "fire": counters["samples"]
            * n_fire
            * bits
            * (self._activation + self._access(Memory.FIRE))
            + counters["spikes_out"] * self._access(Memory.DESTINATION),
            "network": counters["hops"] * self._hop(flit),
        }

    def ann_core(
        self, image: CoreImage, operations: float, macs: float, arriving: float, hops: float
    ) -> dict[str, float]:
        """Picojoules of one image on a core of the ANN accelerator, see ``ANN_MODEL``.

        operations : words of weights that are read; macs : products that are accumulated
        arriving : activations that reach the core; hops : links that its router sends them over
        """
        p = self.formats.params
        width = p.with_integration("exact").acc_width
        bits = self._bits(image)
        product = PRODUCT_PJ * ACTIVATION_WIDTH * WEIGHT_WIDTH
        return {
            "adds": macs * (product + add_pj(width)),
            "weights": operations * self._access(Memory.WEIGHT),
            "potentials": operations * 2 * self._potential(width),
            "loop_nests": arriving * 2 * access_pj(ACTIVATION_WIDTH, p.n_spikes),
            "soma": self._update(image, width, 1),
            "fire": self._control(image, Control.N_FIRE) * self._activation,
            "network": hops * self._hop(bits),
        }

    def _control(self, image: CoreImage, register: Control) -> int:
        return int(image.memories[Memory.CONTROL][register, 0])

    def _bits(self, image: CoreImage) -> int:
        return int(self.formats.mode.unpack(self._control(image, Control.MODE))["bits"])

    def _hop(self, bits: int) -> float:
        """So many bits over a link, and into and out of the queue behind it."""
        return bits * LINK_PJ + 2 * access_pj(bits, self.formats.params.queue_depth)

    def _update(self, image: CoreImage, width: int, steps: int) -> float:
        """The soma's work for one image: ``steps`` passes, each but the last without an output.

        With several, membrane potentials have a memory beside that of the sums.
        """
        p = self.formats.params
        n_update = self._control(image, Control.N_UPDATE)
        touched = self._potential(width) * (2 if steps == 1 else 4) + self._access(Memory.UPDATE)
        product = PRODUCT_PJ * MULTIPLIER_WIDTH * width if p.multipliers else 0.0
        finish = product + add_pj(32) + self._access(Memory.LOOKUP)
        constants = p.n_groups * self._access(Memory.REQUANT)
        return n_update * (steps * touched + self._activation + constants + p.lanes * finish)


def ann_parts(program: Program) -> list[dict[str, float]]:
    """Picojoules by part of one image of the ANN, for every core of the program in its order."""
    model, flows = MemoryModel(Formats(program.params)), Flows(program)
    populations = [(INPUT, program.input.shape)]
    populations += [(i.population.name, i.population.shape) for i in program.layers]
    loads = flows.loads({name: np.ones(shape) for name, shape in populations})
    operations, hops = loads.received(), dict.fromkeys(range(flows.host + 1), 0.0)
    for (start, _), crossing in loads.links.items():
        # Links that begin at a node without a core are nobody's, as in the hardware's counters.
        if start in flows.index:
            hops[flows.index[start]] += crossing
    return [
        model.ann_core(image, operations[i], loads.sops[i], loads.spikes_in[i], hops[i])
        for i, image in enumerate(program.cores)
    ]


def _by_layer(
    program: Program, cores: Sequence[Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Parts of every layer, from those of its cores."""
    found = {info.population.name: dict.fromkeys(PARTS, 0.0) for info in program.layers}
    for image, parts in zip(program.cores, cores, strict=True):
        for name, pj in parts.items():
            found[image.layer][name] += pj
    return found


def _sum(layers: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {part: sum(parts[part] for parts in layers.values()) for part in PARTS}


def paper_energy(sops: float, macs: float) -> dict[str, Any]:
    """The paper's model alone, for so many operations of an image."""
    return {
        "energy_pj_per_image": sops * SOP_PJ,
        "energy_model": PAPER_MODEL,
        "ann_energy_pj_per_image": macs * MAC_PJ,
    }


def energy_figures(
    program: Program, counters: Mapping[tuple[int, int], Mapping[str, float]], n_images: int
) -> dict[str, Any]:
    """Both models per image, for report.json; nodes without a core, which only pass, left out.

    ``counters`` are over all images; ``samples`` may be missing, each core then has finished all.
    """
    model = MemoryModel(Formats(program.params))
    spiking = [
        {
            name: pj / n_images
            for name, pj in model.core(
                image, {"samples": n_images, **counters[image.x, image.y]}
            ).items()
        }
        for image in program.cores
    ]
    layers, ann_layers = _by_layer(program, spiking), _by_layer(program, ann_parts(program))
    parts, ann = _sum(layers), _sum(ann_layers)
    sops = sum(counters[image.x, image.y]["sops"] for image in program.cores) / n_images
    macs = sum(layer.n_macs for layer in program.layers)
    return {
        **paper_energy(sops, macs),
        "energy_memory": {
            "pj_per_image": sum(parts.values()),
            "parts": parts,
            "layers": layers,
            "hops": sum(counters[i.x, i.y]["hops"] for i in program.cores) / n_images,
            "model": MEMORY_MODEL,
            "ann": {
                "pj_per_image": sum(ann.values()),
                "pj_per_image_in_registers": sum(ann.values()) - ann["potentials"],
                "parts": ann,
                "layers": ann_layers,
                "model": ANN_MODEL,
            },
        },
    }


def energy_text(picojoules: float) -> str:
    """In the unit that leaves one to three digits before the point."""
    for factor, unit in ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if picojoules >= factor:
            return f"{picojoules / factor:.2f} {unit}"
    return f"{picojoules:.2f} pJ"
