# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.program.program import InputRoute
from stemcore.golden.reference.topology import HOST_ID, Topology
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from tests.support.edit_program import with_field, with_register
from tests.support.hand_programs import conv_chain_program, dense_program

TINY = Formats(get_preset("tiny"))
DENSE = dense_program(0)[0]
CONV = conv_chain_program(0)[0]
NO_TOKENS = TINY.token_list.pack(start=0, count=0)


def moved(program, core, **changes):
    cores = list(program.cores)
    cores[core] = replace(cores[core], **changes)
    return replace(program, cores=tuple(cores))


def test_paths_follow_tables_and_lists():
    paths = Topology(CONV)
    assert paths.ends == {HOST_ID: [0, 1], 0: [2], 1: [2], 2: [HOST_ID]}
    assert [set(targets) for targets in paths.spike_targets] == [
        {(2, 0)},
        {(2, 0)},
        {(HOST_ID, 0)},
    ]
    assert paths.order[-1] == 2
    spikes = np.random.default_rng(1).integers(0, 9, (2, *CONV.input.shape))
    (neurons, _), *others = paths.input_hops
    assert not others
    assert neurons.total([spikes]).tolist() == spikes.sum(axis=(1, 2, 3)).tolist()


def test_order_puts_sources_first_whatever_the_numbering():
    program = replace(CONV, cores=CONV.cores[::-1])
    assert Topology(program).order[-1] == 0


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            moved(DENSE, 0, x=1),
            r"^core \(1, 1\) of dense: must lie in the mesh of 1 columns and rows 1\.\.1$",
        ),
        (moved(CONV, 1, x=0), r"^core \(0, 1\) of conv: another core has the same node$"),
        (moved(DENSE, 0, layer="fc"), r"^core \(0, 1\) of fc: layer must be one of \['dense'\]$"),
        (
            with_register(
                DENSE,
                0,
                Control.MODE,
                TINY.mode.pack(bits=5, is_signed=0, use_lookup=0, bias_shift=0, is_raw=0, gap=0),
            ),
            (
                r"^core \(0, 1\) of dense: MODE must say 5 bits, is_signed True; "
                r"got 5 bits, is_signed False$"
            ),
        ),
        (
            replace(DENSE, output="logits"),
            r"^dense: output must be one of \['dense'\], got 'logits'$",
        ),
        (
            with_field(CONV, 0, Memory.DESTINATION, 0, y1=3),
            (
                r"^core \(0, 1\) of conv: destination \(0, 2\) to \(0, 3\) must lie in the mesh of "
                r"2 columns and rows 1\.\.2, or be the host$"
            ),
        ),
        (
            with_field(CONV, 0, Memory.DESTINATION, 0, x1=1),
            r"^core \(0, 1\) of conv: packets reach node \(1, 2\), which has no core$",
        ),
        (
            with_field(CONV, 0, Memory.DESTINATION, 0, y0=0, y1=1),
            r"^core \(0, 1\) of conv: destination \(0, 0\) to \(0, 1\) must lie in the mesh",
        ),
        (
            replace(CONV, input_routes=(InputRoute((0, 4), (0, 3), (0, 1, 1, 1), 0),)),
            (
                r"^conv_chain, input route 0: rows 0\.\.4 and columns 0\.\.3 must lie "
                r"in the input's "
                r"4 x 4$"
            ),
        ),
        (
            replace(CONV, input_routes=(InputRoute((0, 3), (0, 3), (0, 0, 0, 0), 0),)),
            r"^conv_chain, input route 0: must lead to cores, leads to the host$",
        ),
        (
            with_register(CONV, 2, Control.N_SOURCES, 1),
            r"^core \(0, 2\) of dense: N_SOURCES is 1, but 2 END tokens arrive a sample$",
        ),
        (
            with_register(CONV, 0, Control.N_DESTINATIONS, 2),
            r"^core \(0, 1\) of conv: N_DESTINATIONS is 2, but 1 CREDIT tokens arrive a sample$",
        ),
        (
            replace(CONV, output_ends=2),
            r"^conv_chain, host: output_ends is 2, but 1 END tokens arrive a sample$",
        ),
        (
            replace(CONV, input_credits=1),
            r"^conv_chain, host: input_credits is 1, but 2 CREDIT tokens arrive a sample$",
        ),
        (
            replace(CONV, output_cores=((1, 2),)),
            r"^conv_chain: output_cores names \(1, 2\), which has no core$",
        ),
        (
            # END to nobody, and the dense core content with one source.
            with_register(
                with_register(CONV, 0, Control.END_LIST, NO_TOKENS), 2, Control.N_SOURCES, 1
            ),
            (
                r"^core \(0, 1\) of conv: must send END exactly to those that grant it CREDIT; "
                r"core \(0, 2\) of dense has only one of the two$"
            ),
        ),
    ],
)
def test_paths_refuse_what_would_stop_or_mix_samples(program, message):
    with pytest.raises(ValueError, match=message):
        Topology(program)


def test_paths_refuse_spikes_without_end():
    program = replace(
        CONV,
        cores=CONV.cores[:1] + CONV.cores[1:],
        input_end=((0, 1, 0, 1),),
        input_credits=1,
    )
    program = with_register(program, 1, Control.N_SOURCES, 0)
    program = with_register(program, 1, Control.CREDIT_LIST, NO_TOKENS)
    message = r"^host: sends spikes to core \(1, 1\) of conv but no END$"
    with pytest.raises(ValueError, match=message):
        Topology(program)


def test_paths_refuse_a_core_that_waits_for_itself():
    program = with_register(DENSE, 0, Control.N_SOURCES, 2)
    program = with_register(program, 0, Control.N_DESTINATIONS, 2)
    nodes = DENSE.cores[0].memories[Memory.DESTINATION]
    doubled = replace(
        program.cores[0],
        memories={**program.cores[0].memories, Memory.DESTINATION: nodes.repeat(2, axis=0)},
    )
    program = replace(program, cores=(doubled,))
    program = with_field(program, 0, Memory.DESTINATION, 1, x0=0, y0=1, x1=0, y1=1)
    both = TINY.token_list.pack(start=0, count=2)
    program = with_register(program, 0, Control.END_LIST, both)
    program = with_register(program, 0, Control.CREDIT_LIST, both)
    message = r"^core \(0, 1\) of dense: waits for its own spikes; break the cycle$"
    with pytest.raises(ValueError, match=message):
        Topology(program)
