# SPDX-License-Identifier: Apache-2.0
"""Energy of a run, by two models, from the gateware's own counters.

``paper``: an addition per synaptic operation, nothing else (arXiv 2505.12221, section IV).
``memory``: additions of the true width, every memory word read or written, multiplications of the
soma, and links. Both at 45 nm (M. Horowitz, ISSCC 2014: additions of 8 and 32 bits, products of 8
and 32 bits, 64 bits from 8 KB of SRAM); clock, leakage and control are in neither.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.fields import Control, Formats, Memory
from stemcore.golden.spec.params import ACTIVATION_WIDTH, MULTIPLIER_WIDTH

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


@dataclass(frozen=True)
class MemoryModel:
    """Energy of one core, counter by counter.

    ``weights`` and ``potentials``: words of the accumulate pipeline; ``adds``: its additions;
    ``loop_nests``: queue, descriptor and coordinate tables, once for every spike; ``soma``:
    constants, products, lookups, potentials and activations of the updates; ``fire``: the scan of
    the activations, and a destination for every packet; ``network``: links and queues of spikes.
    """

    formats: Formats

    def _access(self, memory: Memory) -> float:
        _, depth = self.formats.memory(memory)
        return access_pj(self.formats.word_width(memory), depth)

    def core(self, image: CoreImage, counters: Mapping[str, int]) -> dict[str, float]:
        """Picojoules of everything that one core has counted."""
        p = self.formats.params
        potential = access_pj(p.lanes * p.acc_width, p.n_acc_words)
        activation = access_pj(p.lanes * ACTIVATION_WIDTH, p.n_fire_words)
        control = image.memories[Memory.CONTROL][:, 0]
        n_update, n_fire = int(control[Control.N_UPDATE]), int(control[Control.N_FIRE])
        bits = self.formats.mode.unpack(int(control[Control.MODE]))["bits"]
        updated = counters["samples"] * n_update
        neurons = updated * p.lanes
        product = PRODUCT_PJ * MULTIPLIER_WIDTH * p.acc_width if p.multipliers else 0.0
        finish = product + add_pj(32) + self._access(Memory.LOOKUP)
        spike = self.formats.spike.width
        loop_nest = 2 * access_pj(spike, p.n_spikes) + sum(
            self._access(m) for m in (Memory.AXON, Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X)
        )
        flit = self.formats.flit.width
        return {
            "adds": counters["sops"] * add_pj(p.acc_width),
            "weights": counters["busy"] * self._access(Memory.WEIGHT),
            "potentials": counters["busy"] * 2 * potential,
            "loop_nests": counters["spikes_in"] * loop_nest,
            "soma": updated
            * (
                2 * potential
                + self._access(Memory.UPDATE)
                + activation
                + p.n_groups * self._access(Memory.REQUANT)
            )
            + neurons * finish,
            "fire": counters["samples"] * n_fire * bits * (activation + self._access(Memory.FIRE))
            + counters["spikes_out"] * self._access(Memory.DESTINATION),
            "network": counters["hops"] * flit * LINK_PJ
            + counters["hops"] * 2 * access_pj(flit, p.queue_depth),
        }


def energy_figures(
    program: Program, counters: Mapping[tuple[int, int], Mapping[str, int]], n_images: int
) -> dict[str, object]:
    """Both models per image, for report.json; nodes without a core, which only pass, left out."""
    model = MemoryModel(Formats(program.params))
    parts: dict[str, float] = {}
    for image in program.cores:
        for name, pj in model.core(image, counters[image.x, image.y]).items():
            parts[name] = parts.get(name, 0.0) + pj / n_images
    sops = sum(counters[image.x, image.y]["sops"] for image in program.cores) / n_images
    macs = sum(layer.n_macs for layer in program.layers)
    return {
        "energy_pj_per_image": sops * SOP_PJ,
        "energy_model": PAPER_MODEL,
        "ann_energy_pj_per_image": macs * MAC_PJ,
        "energy_memory": {
            "pj_per_image": sum(parts.values()),
            "parts": parts,
            "hops": sum(counters[i.x, i.y]["hops"] for i in program.cores) / n_images,
            "model": MEMORY_MODEL,
        },
    }


def energy_text(picojoules: float) -> str:
    """In the unit that leaves one to three digits before the point."""
    for factor, unit in ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if picojoules >= factor:
            return f"{picojoules / factor:.2f} {unit}"
    return f"{picojoules:.2f} pJ"
