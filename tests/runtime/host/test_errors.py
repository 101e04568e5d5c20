# SPDX-License-Identifier: Apache-2.0
"""Errors of cores in words, and what they make of a run."""

import pytest

from stemcore.golden.spec.errors import MEANINGS, Error
from stemcore.golden.spec.fields import ALERT, Formats, Kind
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.errors import EngineError
from stemcore.runtime.host.errors import check, core_errors, describe_flit, first_flit
from stemcore.runtime.host.protocol import Protocol
from tests.support.hand_programs import dense_program
from tests.support.random_networks import random_images

FORMATS = Formats(get_preset("tiny"))


def word(*causes, count=1, x=1, y=2):
    flags = {error.name.lower(): int(error in causes) for error in Error}
    return FORMATS.errors.pack(**flags, count=count, x=x, y=y)


def test_every_cause_has_a_bit_and_a_meaning():
    assert MEANINGS.keys() == set(Error)
    for error in Error:
        assert core_errors(FORMATS, word(error)).causes == (error,)
        assert FORMATS.errors.unpack(1 << error)[error.name.lower()] == 1


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 error:"), (7, "7 errors:"), (255, "255 or more errors:")]
)
def test_core_says_where_how_often_and_what(count, said):
    errors = core_errors(FORMATS, word(Error.KIND, Error.SPIKE, count=count))
    assert str(errors) == (
        f"node (1, 2): {said} a spike of a token period that was not granted; "
        "a flit of a kind that no core receives"
    )


def test_run_without_alerts_passes_and_one_with_them_says_all():
    check("net", FORMATS, [])
    message = (
        r"^net: cores must see no error of the protocol; 2 did\. A memory image, the host or the "
        r"gateware is wrong: run the engine 'program' to find out\n"
        r"  node \(1, 2\): 1 error: an END or CREDIT that was not due\n"
        r"  node \(0, 1\): 3 errors: a destination outside the mesh, or none$"
    )
    with pytest.raises(EngineError, match=message):
        check("net", FORMATS, [word(Error.TOKEN), word(Error.OUTSIDE, count=3, x=0, y=1)])


def test_flits_are_described_from_both_halves():
    payload = FORMATS.spike.pack(axon=1, t=2, c=3, y=4, x=5)
    flit = FORMATS.flit.pack(kind=int(Kind.SPIKE), x0=0, y0=1, x1=2, y1=3, payload=payload)
    assert first_flit(flit & 0xFFFFFFFF, flit >> 32) == flit
    assert describe_flit(FORMATS, flit) == (
        "SPIKE (axon 1, t 2, c 3, y 4, x 5) for nodes (0, 1) to (2, 3)"
    )
    flit = FORMATS.flit.pack(kind=int(Kind.END), x0=1, y0=2, x1=1, y1=2, payload=0)
    assert describe_flit(FORMATS, flit) == "END for node (1, 2)"


def test_host_keeps_alerts_apart_from_answers(rng):
    program, network = dense_program(3)
    protocol = Protocol(program, random_images(rng, network, 1))
    for kind, payload in ((ALERT, word(Error.READ)), (Kind.DATA, 17)):
        x = {"x0": 0, "y0": 0, "x1": 0, "y1": 0}
        protocol.receive(FORMATS.flit.pack(kind=int(kind), **x, payload=payload))
    assert protocol.alerts == [word(Error.READ)]
    assert protocol.replies == [17]
