# SPDX-License-Identifier: Apache-2.0
"""What the driver needs of the way to a board: registers, flits in order, and an end of waiting."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class PortError(ValueError):
    """The way to the board is missing or broken, which the user can mend."""


class Transport(ABC):
    """A way to the host side of one chip; ``with`` closes it.

    name : as the user said it, for messages
    reads_at_once : READ flits that may be under way to one core: no answer waits in the mesh
    """

    name: str
    reads_at_once: int

    @abstractmethod
    def restart(self) -> None:
        """Flits that are under way on the transport, in both directions, are dropped.

        Those inside the chip are not. Raises :class:`PortError` where nobody answers.
        """

    @abstractmethod
    def read(self, address: int) -> int:
        """The host register at a byte address. Raises :class:`PortError`."""

    @abstractmethod
    def write(self, address: int, value: int) -> None:
        """Writes a host register. Raises :class:`PortError` where it is refused."""

    @abstractmethod
    def send(self, flits: Sequence[int]) -> None:
        """Queues flits; :meth:`receive` moves them on."""

    @property
    @abstractmethod
    def n_waiting(self) -> int:
        """Flits that the board has not taken yet."""

    @abstractmethod
    def receive(self, wait: float) -> list[int]:
        """Flits that have come, in order; waits up to ``wait`` seconds for something to happen.

        Raises :class:`PortError` where the board does not answer any more.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives the port back."""

    def notes(self) -> dict[str, int]:
        """Counts worth a line in a report."""
        return {}

    def __enter__(self) -> "Transport":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
