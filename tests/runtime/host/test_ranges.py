# SPDX-License-Identifier: Apache-2.0
"""Ranges permit what a program's sources send, up to its last neuron and step, and no more."""

import numpy as np
import pytest

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.spike_range import MARGINS, limit_of, margins_of
from stemcore.runtime.host.flits import Host
from stemcore.runtime.host.ranges import spike_ranges
from tests.support.chip_programs import four_core_case, stepped_case
from tests.support.hand_programs import conv_chain_program

CASES = {
    "conv_chain": lambda: conv_chain_program(2)[1::-1],
    **{f"random {n}": lambda n=n: four_core_case(n)[:2] for n in range(4)},
    "late": lambda: stepped_case("late")[:2],
}


def lasts(program, word):
    """The largest values that a word permits, or ``None``."""
    fields = Formats(program.params).range.unpack(word)
    if fields == margins_of(program.params, None):
        return None
    return {
        name: (1 << limit_of(program.params, name).width) - 1 - fields[name] for name in MARGINS
    }


@pytest.mark.parametrize("case", CASES)
def test_ranges_hold_what_the_host_and_other_layers_send(case):
    network, program = CASES[case]()
    ranges = spike_ranges(program)
    assert ranges.keys() == {(core.x, core.y) for core in program.cores}
    spike = Formats(program.params).spike
    flit = Formats(program.params).flit
    # The host's: an image of which every neuron fires at every step.
    image = np.full(program.input.shape, (1 << (program.input.bits - program.input.is_signed)) - 1)
    sent = {}
    for word in Host(program).sample(image):
        fields = flit.unpack(int(word))
        if fields["kind"]:
            continue
        values = spike.unpack(fields["payload"])
        for node in ranges:
            inside = fields["x0"] <= node[0] <= fields["x1"]
            if inside and fields["y0"] <= node[1] <= fields["y1"]:
                most = sent.setdefault((node, values["axon"]), dict.fromkeys(MARGINS, 0))
                sent[node, values["axon"]] = {n: max(most[n], values[n]) for n in MARGINS}
    assert sent
    for (node, axon), most in sent.items():
        last = lasts(program, ranges[node][axon])
        assert {n: last[n] for n in "cyx"} == {n: most[n] for n in "cyx"}
        assert last["t"] == program.input.bits - 1
    # All others: layers, whose populations bound them.
    shapes = [layer.population.shape for layer in network.layers]
    others = [
        lasts(program, word)
        for node, words in ranges.items()
        for axon, word in enumerate(words)
        if (node, axon) not in sent
    ]
    listening = [last for last in others if last is not None]
    assert len(listening) < len(others)
    for last in listening:
        place = [last[name] for name in "cyx"]
        assert any(all(i < n for i, n in zip(place, shape, strict=True)) for shape in shapes)
