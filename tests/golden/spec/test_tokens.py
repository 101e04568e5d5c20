# SPDX-License-Identifier: Apache-2.0
import pytest

from stemcore.golden.spec.tokens import Sink, Source


def test_a_source_begins_with_all_credits_and_uses_them_up():
    source = Source(2)
    source.credit()
    assert not source.may_send
    source.credit()
    source.credit()
    assert source.may_send
    source.begin()
    assert (source.credits, source.may_send) == (1, True)
    source.finish()
    assert not source.may_send


def test_a_hold_stops_a_period_that_has_begun():
    source = Source(1, credits=1)
    source.begin()
    source.pace(True)
    source.pace(True)
    source.pace(False)
    assert not source.may_send
    source.pace(False)
    assert source.may_send


def test_beginning_without_permission_is_refused():
    with pytest.raises(ValueError, match=r"^a period must begin with 2 CREDITs .*, got 1 CREDITs$"):
        Source(2, credits=1).begin()
    source = Source(1, credits=2)
    source.begin()
    with pytest.raises(ValueError, match=r", got 1 CREDITs amid a period$"):
        source.begin()


def test_a_sink_completes_a_period_with_the_end_of_every_source():
    sink = Sink(3)
    assert [sink.end() for _ in range(7)] == [False, False, True, False, False, True, False]
    assert sink.ends == 1
