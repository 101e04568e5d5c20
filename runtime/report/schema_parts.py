# SPDX-License-Identifier: Apache-2.0
"""The objects within report.json: every field, its type and its meaning.

:mod:`.schema` puts them together. A field of type ``.. | None`` is null where it could not be
measured (one image has no interval); a field of type ``.. | UnsetType`` is absent where the engine
has nothing of the kind (engine `golden` has no cores).
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from stemcore.golden.spec.routing import Node

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Figure = Annotated[float, Meta(ge=0)]  # a mean per image, or an amount that may be a fraction
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Part(Struct, forbid_unknown_fields=True):
    """A JSON object with these fields and no others."""


class RunSettings(Part):
    """Everything that was asked for, defaults filled in.

    data, checkpoint : paths that were named
    preset, chip : name of the chip's sizes, and the sizes, integration mode included
    integration : mode, see stemcore.compiler.lowering.integrate
    bits : of the activations, the time steps T; by layer where they differ, others under "*"
    weight_bits : of the weights, likewise
    calibration : method that activations' scales follow from the images by
    bias : format that was asked for or is the profile's own
    tables : as asked for; tables_by_layer: contents of a file of tables
    cores, mesh : limits that were asked for
    skip_buffers : all, or none: the network ran without
    cores_on_chip : of a chip on which cores take turns, where it was asked for
    accuracy_images : test images that accuracy rests on
    calibration_images : training images that scales rest on
    threads : that stepped the mesh; null for engines that have one
    waves : nodes whose waves were written
    seeds : of everything random that the result depends on
    input : what a byte of an image means to the network, in words
    outputs : what the output's values were taken for
    """

    model: str
    dataset: str
    data: str | None
    checkpoint: str | None
    preset: str
    chip: dict[str, int | bool | str]
    integration: str
    profile: str
    bias: str
    bits: Count | dict[str, Count]
    tables: str
    tables_by_layer: dict[str, str | list[int]] | None
    cores: Count | None
    mesh: Node | None
    images: Count
    accuracy_images: Count
    calibration_images: Count
    engine: str
    threads: Count | None
    waves: str | list[Node] | None
    seeds: dict[str, int]
    input: str | UnsetType = UNSET
    outputs: str | UnsetType = UNSET
    weight_bits: Count | dict[str, Count] | UnsetType = UNSET
    calibration: str | UnsetType = UNSET
    cores_on_chip: Count | UnsetType = UNSET
    skip_buffers: str | UnsetType = UNSET


class Commit(Part):
    """Of the checkout that ran; ``is_dirty``: its files differed from the commit."""

    hash: Annotated[str, Meta(pattern="^[0-9a-f]{40,64}$")]
    is_dirty: bool


class Hashes(Part):
    """SHA-256 of what went in and what came out: equal hashes, equal contents.

    weights : of the float model's parameters and buffers, by name
    data : of the test images that ran, with their labels or boxes
    calibration : of the training images that scales rest on
    quantized : of the integers and scales of all layers
    program : of the memory images; null where no chip was compiled for
    """

    weights: Sha256
    data: Sha256
    calibration: Sha256
    quantized: Sha256
    program: Sha256 | None


class Times(Part):
    """Wall-clock seconds of the stages; null where a stage did not run.

    ``build`` compiles the gateware for simulation, or loads what is compiled; ``accuracy`` runs
    float and quantized network on ``accuracy_images``.
    """

    load: Figure
    capture: Figure
    quantize: Figure
    lower: Figure
    compile: Figure | None
    torch: Figure
    golden: Figure
    program: Figure | None
    estimate: Figure | None
    build: Figure | None
    simulate: Figure | None
    accuracy: Figure
    total: Figure


class Machine(Part):
    """Where it ran: processors that this process may use, operating system and architecture."""

    processors: Count
    platform: str


class BitExact(Part):
    """Whether every spike was equal; null where one of the two did not run.

    golden_rtl : golden and the engine that was asked for, where that is neither of the others; with
        gateware also all counters of the cores
    """

    torch_golden: bool | None
    golden_program: bool | None
    golden_rtl: bool | None


class Accuracy(Part):
    """Shares of right answers, or mAP: float and quantized network on ``images`` test images, and
    the RTL on those that it ran."""

    float: Share
    quantized: Share
    rtl: Share | None
    images: Count


class OutputFidelity(Part):
    """Quantized against float network for one output of several; figures as in :class:`Fidelity`.

    name : where it stands in what the model returns
    layer : whose values it is
    """

    name: str
    layer: str
    agreement: Share | None
    sqnr_db: float | None


class Fidelity(Part):
    """Quantized against float network on ``images`` test images, without labels.

    agreement : share of them with the same largest output; null where an output has one value
    sqnr_db : signal-to-quantization-noise ratio of the input and every layer, in decibels; null
        where there is no noise, or no signal
    outputs : of each output, where the model returns several; ``agreement`` is the first one's
    """

    images: Count
    agreement: Share | None
    sqnr_db: dict[str, float | None]
    outputs: list[OutputFidelity] | UnsetType = UNSET


class Integration(Part):
    """Integration mode; in 16 bits also what that changes against exact integration.

    constants : of the layers, in words
    accuracy : on ``images`` test images
    changed : share of activations that differ, by layer; changed_alone: with exact inputs
    """

    mode: str
    constants: list[str] | UnsetType = UNSET
    accuracy: Share | UnsetType = UNSET
    images: Count | UnsetType = UNSET
    changed: dict[str, Share] | UnsetType = UNSET
    changed_alone: dict[str, Share] | UnsetType = UNSET


class Cycles(Part):
    """Clock cycles. ``latency``: of the first image, in an empty chip; ``interval``: from one end
    to the next; ``busiest_core``: accumulate cycles per image of the core that has most."""

    latency: Figure | None
    interval: Figure | None
    busiest_core: Figure | None
    estimated_interval: Figure | None
    estimated_latency: Figure | None


class BusiestCore(Part):
    """The core with most accumulate cycles per image."""

    node: Node
    layer: str
    cycles: Figure


class BusiestLink(Part):
    """The link that most spikes of an image cross."""

    from_: Node = msgspec.field(name="from")
    to: Node
    spikes: Figure


class VirtualEstimate(Part):
    """Where cores take turns: ``load`` cycles a batch; per image ``compute`` cycles, and flits."""

    load: Count
    compute: Figure
    flits_in: Figure
    flits_out: Figure


class Estimate(Part):
    """What the first ``images`` images were predicted to take, before the gateware ran."""

    interval: Figure | None
    latency: Figure
    images: Count
    busiest_core: BusiestCore
    busiest_link: BusiestLink
    virtual: VirtualEstimate | UnsetType = UNSET


class Group(Part):
    """Cores that are on the chip together.

    cores : how many
    layers : that they compute, or a part of
    load_flits : that load and start them, once a batch
    load_words : of 8 bytes in which a host sends these to a board, WRITEs in bursts
    cycles : of computing, per image; null where the engine has no clock
    flits_in, flits_out : spikes and tokens between host and chip, per image
    """

    cores: Count
    layers: list[str]
    load_flits: Count
    load_words: Count
    cycles: Figure | None
    flits_in: Figure
    flits_out: Figure


class VirtualCores(Part):
    """How the network's cores took turns on a chip with fewer; figures per image.

    cores_on_chip, mesh : the chip's cores, columns and rows of its nodes
    batch, batches : images for which a group was loaded once, and how often all were
    load_cycles : an image's share of loading, a flit a cycle
    compute_cycles : of all groups; null where the engine has no clock
    flits_in, flits_out : spikes and tokens between host and chip
    """

    cores_on_chip: Count
    mesh: Node
    batch: Count
    batches: Count
    load_cycles: Figure
    compute_cycles: Figure | None
    flits_in: Figure
    flits_out: Figure
    groups: list[Group]


class AnnEnergy(Part):
    """Picojoules per image of the same layers as multiply-accumulates on the same cores."""

    pj_per_image: Figure
    pj_per_image_in_registers: Figure
    parts: dict[str, Figure]
    layers: dict[str, dict[str, Figure]]
    model: str


class MemoryEnergy(Part):
    """Picojoules per image, memories and links included; ``parts`` add up to ``pj_per_image``.

    layers : parts of each layer
    hops : links that spikes crossed
    """

    pj_per_image: Figure
    parts: dict[str, Figure]
    layers: dict[str, dict[str, Figure]]
    hops: Figure
    model: str
    ann: AnnEnergy


class Simulation(Part):
    """Of the gateware: seconds and cycles in all.

    node_cycles : cycles that nodes were evaluated in; load_cycles: before the first image
    shared_cycles : that several threads stepped
    notes : whatever else the engine noted
    """

    engine: str
    build_s: Figure
    wall_s: Figure
    cycles: Count
    cycles_per_s: Figure
    node_cycles: Count | UnsetType = UNSET
    load_cycles: Count | UnsetType = UNSET
    threads: Count | UnsetType = UNSET
    shared_cycles: Count | UnsetType = UNSET
    notes: dict[str, Any] | UnsetType = UNSET


class Layer(Part):
    """One layer; figures are per image.

    cores : null where no chip was compiled for
    packets : spikes that left its cores, one for every core that reads them
    cycles : accumulate cycles of its busiest core, waiting for spikes included; like
        update_cycles and fire_cycles null where no clock ran
    utilisation : SOPs / (lanes * accumulate cycles of all its cores)
    """

    name: str
    shape: tuple[int, int, int]
    neurons: Count
    parameters: Count
    macs: Count
    sops: Figure
    spikes: Figure
    cores: Count | None
    packets: Figure | None
    cycles: Figure | None
    update_cycles: Figure | None
    fire_cycles: Figure | None
    utilisation: Share | None


class Object(Part):
    """One detection: x0, y0, x1, y1 in pixels of the network's input."""

    class_: str = msgspec.field(name="class")
    score: Share
    box: tuple[float, float, float, float]


class Picture(Part):
    """What was found in one image; ``picture`` is the file that shows it, beside the report."""

    picture: str
    objects: list[Object]
