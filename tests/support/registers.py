# SPDX-License-Identifier: Apache-2.0
"""All registers of a design, for claims about what does not change."""

from collections.abc import Iterator

from amaranth.hdl import Fragment, Signal

# Registers of a core made from a control register, one cycle behind it. Nobody uses them so soon,
# so that a simulator that skips a quiet core may leave them behind: they are right again in the
# first cycle of the next flit.
FOLLOWERS = frozenset(
    {
        "last_word",
        "index_mask",
        "largest",
        "smallest",
        "is_last_period",
        "has_all_ends",
        "has_all_credits",
        "step_is_first",
        "step_doubles",
        "step_shift",
    }
)


def elaborated(component, platform: str | None = None) -> tuple[Fragment, list[Signal]]:
    """The design to simulate, and every signal in it that the clock changes.

    The words of memories are not among them, the registers of their read ports are.
    """
    fragment = Fragment.get(component, platform)
    found = {signal.name + str(id(signal)): signal for signal in _clocked(fragment)}
    return fragment, list(found.values())


def _clocked(fragment: Fragment) -> Iterator[Signal]:
    for statement in fragment.statements.get("sync", ()):
        yield from statement._lhs_signals()
    for port in getattr(fragment, "_read_ports", ()):
        if port._domain == "sync":
            yield from port._data._lhs_signals()
    for sub, _, _ in fragment.subfragments:
        yield from _clocked(sub)
