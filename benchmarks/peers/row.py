# SPDX-License-Identifier: Apache-2.0
"""One system on one network and data set."""

from dataclasses import asdict, dataclass
from typing import Any

MEASURED = "measured"  # by a command of this project, on its RTL
SIMULATED = "RTL simulated"  # the other project's own RTL
QUOTED = "quoted"  # as published
NO_DATA = "none"  # where no figure of a network is published


@dataclass(frozen=True)
class Row:
    """Figures of one system; None where there is none.

    accuracy in percent, on ``images`` test images; ``cycles`` from image to image; ``clock_mhz``
    that ``per_second`` (images a second) is stated at. ``luts`` and ``memory`` say of what.
    ``device`` is the part or chip, ``precision`` bits of activations and weights.
    ``energy`` is per image and names its model or measurement. ``how`` is one of ``MEASURED``,
    ``SIMULATED`` and ``QUOTED``; ``source`` is the command, or where the figures stand.
    """

    system: str
    network: str
    dataset: str
    how: str
    source: str
    accuracy: float | None = None
    images: int | None = None
    cycles: float | None = None
    clock_mhz: float | None = None
    per_second: float | None = None
    luts: str | None = None
    memory: str | None = None
    energy: str | None = None
    note: str = ""
    device: str | None = None
    precision: str | None = None

    def __post_init__(self) -> None:
        if self.how not in (MEASURED, SIMULATED, QUOTED):
            raise ValueError(f"{self.system}: how must be {MEASURED}, .., got {self.how!r}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
