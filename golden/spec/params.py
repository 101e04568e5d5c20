# SPDX-License-Identifier: Apache-2.0
"""Sizes of the processor: one frozen object; ``spec/presets.py`` has named ones.

Every width and depth of gateware, memory image and model derives from :class:`ChipParams`; nothing
else in the project states one. Standard library only, so that the gateware can import it.
"""

from dataclasses import asdict, dataclass, fields, replace

from .neuron_model import NeuronModel
from .neurons import MODELS
from .widths import bits_for

DEFAULT_MODEL = "exact"


@dataclass(frozen=True)
class ChipParams:
    """Sizes of one chip: the core's memories, the packet fields and the largest mesh.

    Attributes
    ----------
    lanes : int
        Neurons that share a memory word and are updated in one cycle. A power of two.
    soma_lanes : int
        Neurons that the soma finishes per cycle; divides ``lanes``.
    acc_width : int
        Bits of a membrane potential (accumulator).
    n_acc_words, n_weight_words : int
        Words of ``lanes`` potentials, and of ``lanes`` weights.
    n_spikes : int
        Spikes that a core keeps waiting for their loop nest; 2 or more.
    n_axons : int
        Axon descriptors: source populations that one core can listen to.
    n_table_c, n_table_y, n_table_x : int
        Entries of the three coordinate tables, shared by the descriptors of a core.
    n_update : int
        Entries of the update pass table (accumulator words read in one update pass of the soma).
    n_blocks : int
        Channel blocks (of ``lanes`` channels) whose requantization constants one core holds.
    n_fire_words : int
        Words of the activation memory, and entries of the fire table.
    n_destinations : int
        Entries of the destination table.
    c_width, y_width, x_width : int
        Bits of a neuron's coordinates in a packet: channel, row, column.
    shift_width : int
        Bits of the total left shift of a weight, ``T-1-t+h``.
    coord_width : int
        Bits of a node coordinate. Column 0 to ``2**coord_width - 1``; row 0 is the host's.
    queue_depth : int
        Flits that each input queue of a router holds.
    multipliers : bool
        False leaves the soma's multipliers out; such a core runs exact-profile programs only.
    integration : str
        Name of the neuron model, one of :data:`stemcore.golden.spec.neurons.MODELS`, which may ask
        for an ``acc_width``.
    """

    lanes: int = 32
    soma_lanes: int = 4
    acc_width: int = 24
    n_acc_words: int = 512
    n_weight_words: int = 4096
    n_spikes: int = 256
    n_axons: int = 8
    n_table_c: int = 1024
    n_table_y: int = 256
    n_table_x: int = 256
    n_update: int = 512
    n_blocks: int = 32
    n_fire_words: int = 512
    n_destinations: int = 256
    c_width: int = 12
    y_width: int = 8
    x_width: int = 8
    shift_width: int = 4
    coord_width: int = 5
    queue_depth: int = 4
    multipliers: bool = True
    integration: str = DEFAULT_MODEL

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (not isinstance(value, int) or value < 1):
                raise ValueError(
                    f"ChipParams.{field.name}: must be a positive integer, got {value!r}"
                )
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"ChipParams.lanes: must be a power of two, got {self.lanes}")
        if self.lanes < 4 or self.lanes % self.soma_lanes or self.soma_lanes == self.lanes:
            raise ValueError(
                "ChipParams.soma_lanes: must divide lanes (4 or more) and be smaller, got "
                f"{self.soma_lanes} of {self.lanes} lanes"
            )
        if not 16 <= self.acc_width <= 32:
            raise ValueError(f"ChipParams.acc_width: must be 16 to 32, got {self.acc_width}")
        if self.integration not in MODELS:
            raise ValueError(
                f"ChipParams.integration: must be one of {', '.join(MODELS)}, "
                f"got {self.integration!r}"
            )
        if self.model.acc_width not in (None, self.acc_width):
            raise ValueError(
                f"ChipParams.acc_width: must be {self.model.acc_width} where integration is "
                f"{self.integration!r}, got {self.acc_width}"
            )
        if self.c_width <= self.lane_width:
            raise ValueError(
                f"ChipParams.c_width: must exceed the lane index's {self.lane_width} bits, "
                f"got {self.c_width}"
            )

    @property
    def model(self) -> NeuronModel:
        """The cores' neuron model."""
        return MODELS[self.integration]

    # Derived widths. Addresses of memories:
    @property
    def lane_width(self) -> int:
        """Bits of a lane index."""
        return bits_for(self.lanes)

    @property
    def acc_address_width(self) -> int:
        """Bits of an accumulator word address."""
        return bits_for(self.n_acc_words)

    @property
    def weight_address_width(self) -> int:
        """Bits of a weight word address."""
        return bits_for(self.n_weight_words)

    @property
    def axon_width(self) -> int:
        """Bits of an axon id."""
        return bits_for(self.n_axons)

    @property
    def table_c_width(self) -> int:
        """Bits of an index of the channel table."""
        return bits_for(self.n_table_c)

    @property
    def table_y_width(self) -> int:
        """Bits of an index of the row table."""
        return bits_for(self.n_table_y)

    @property
    def table_x_width(self) -> int:
        """Bits of an index of the column table."""
        return bits_for(self.n_table_x)

    @property
    def update_address_width(self) -> int:
        """Bits of an update pass table address."""
        return bits_for(self.n_update)

    @property
    def block_width(self) -> int:
        """Bits of a channel block index."""
        return bits_for(self.n_blocks)

    @property
    def fire_address_width(self) -> int:
        """Bits of an activation word address."""
        return bits_for(self.n_fire_words)

    @property
    def destination_width(self) -> int:
        """Bits of a destination table address."""
        return bits_for(self.n_destinations)

    @property
    def n_groups(self) -> int:
        """Groups of ``soma_lanes`` lanes in a word."""
        return self.lanes // self.soma_lanes

    @property
    def t_width(self) -> int:
        """Bits of the time step in a packet."""
        return self.shift_width

    @property
    def token_width(self) -> int:
        """Bits of a count of tokens: every node, and the host, may be a source."""
        return 2 * self.coord_width

    @property
    def max_columns(self) -> int:
        """Columns of the largest mesh."""
        return 1 << self.coord_width

    @property
    def max_rows(self) -> int:
        """Rows of the largest mesh; row 0 belongs to the host."""
        return (1 << self.coord_width) - 1

    def to_dict(self) -> dict[str, int | bool | str]:
        """Plain dictionary for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, int | bool | str]) -> "ChipParams":
        """Inverse of :meth:`to_dict`; unknown and missing keys are errors (``ValueError``)."""
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            unknown, missing = sorted(set(values) - names), sorted(names - set(values))
            raise ValueError(f"ChipParams: unknown keys {unknown}, missing keys {missing}")
        return cls(**values)  # type: ignore[arg-type]

    def with_(self, **changes: int | bool | str) -> "ChipParams":
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def with_integration(self, integration: str) -> "ChipParams":
        """A copy for another neuron model, with the accumulators that it needs.

        Those of the default where the model leaves their width open.
        """
        if integration == self.integration:
            return self
        model = MODELS.get(integration)
        width = ChipParams.acc_width if model is None else model.acc_width or ChipParams.acc_width
        return self.with_(integration=integration, acc_width=width)
