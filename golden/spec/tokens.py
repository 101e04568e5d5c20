# SPDX-License-Identifier: Apache-2.0
"""Who may send, and when a period is complete: the token rules of cores and host, executable.

The host keeps the same rules as every core (hdl/README.md, "Life of a sample in a core"):

* A source sends the spikes of a token period, then END to all its destinations. It begins when it
  holds a CREDIT of each destination, which it uses up together; and it sends nothing of a period
  while any destination has asked it to hold (PACE).
* A destination has a period complete when it holds an END of each of its sources. It then owes each
  of them a CREDIT for the next period.
* Tokens go before spikes: what a node owes is sent even while its own spikes are held.

Whatever plays the host is held to these objects by the tests. Standard library only.
"""

from dataclasses import dataclass


@dataclass
class Source:
    """What permits a node to send the spikes of a token period.

    ``n_destinations``: CREDITs of a period. The CREDITs of START are ``credits`` to begin with.
    """

    n_destinations: int
    credits: int = 0
    n_holding: int = 0  # destinations that have asked to hold
    is_sending: bool = False  # a period has begun and its last END has not been sent

    @property
    def has_permission(self) -> bool:
        """Whether the next period may begin, as far as CREDITs go."""
        return self.credits >= self.n_destinations

    @property
    def may_send(self) -> bool:
        """Whether the next spike or END of a period may be sent."""
        return self.n_holding == 0 and (self.is_sending or self.has_permission)

    def credit(self) -> None:
        """A CREDIT has come."""
        self.credits += 1

    def pace(self, is_hold: bool) -> None:
        """A PACE has come: a destination asks to hold, or to go on."""
        self.n_holding += 1 if is_hold else -1

    def begin(self) -> None:
        """The first flit of a period is sent. ``ValueError`` without permission."""
        if self.is_sending or not self.has_permission:
            raise ValueError(
                f"a period must begin with {self.n_destinations} CREDITs and after the one before, "
                f"got {self.credits} CREDITs" + (" amid a period" if self.is_sending else "")
            )
        self.credits -= self.n_destinations
        self.is_sending = True

    def finish(self) -> None:
        """The last END of the period has been sent."""
        self.is_sending = False


@dataclass
class Sink:
    """What completes a token period at a node that receives; ``n_sources``: ENDs of a period."""

    n_sources: int
    ends: int = 0  # of the period that is not complete

    def end(self) -> bool:
        """An END has come; True if it completes a period, for which CREDITs are owed now."""
        self.ends = (self.ends + 1) % self.n_sources
        return self.ends == 0
