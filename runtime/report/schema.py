# SPDX-License-Identifier: Apache-2.0
"""report.json: every field, its type and its meaning, in one definition.

:func:`checked` holds what a run found to it before anything is written, :func:`read_report` what a
file contains, and :func:`json_schema` is the same for other programs. A key that is not defined
here is an error in both directions. A field of type ``.. | None`` is null where it could not be
measured (one image has no interval); a field of type ``.. | UnsetType`` is absent where the engine
has nothing of the kind (engine `golden` has no cores).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

SCHEMA_VERSION = 1
REPORT_FILE = "report.json"
AGAIN = "run it again with this version"

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Figure = Annotated[float, Meta(ge=0)]  # a mean per image, or an amount that may be a fraction
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Node = tuple[int, int]  # column and row


class _Part(Struct, forbid_unknown_fields=True):
    """A JSON object with these fields and no others."""


class RunSettings(_Part):
    """Everything that was asked for, defaults filled in.

    data, checkpoint : paths that were named
    preset, chip : name of the chip's sizes, and the sizes, integration mode included
    integration : mode, see stemcore.compiler.lowering.integrate
    bits : of the activations, the time steps T
    bias : format that was asked for or is the profile's own
    tables : as asked for; tables_by_layer: contents of a file of tables
    cores, mesh : limits that were asked for
    accuracy_images : test images that accuracy rests on
    calibration_images : training images that scales rest on
    threads : that stepped the mesh; null for engines that have one
    waves : nodes whose waves were written
    seeds : of everything random that the result depends on
    input : what a byte of an image means to the network, in words
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
    bits: Count
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


class Commit(_Part):
    """Of the checkout that ran; ``is_dirty``: its files differed from the commit."""

    hash: Annotated[str, Meta(pattern="^[0-9a-f]{40,64}$")]
    is_dirty: bool


class Hashes(_Part):
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


class Times(_Part):
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


class Machine(_Part):
    """Where it ran: processors that this process may use, operating system and architecture."""

    processors: Count
    platform: str


class BitExact(_Part):
    """Whether every spike was equal; null where one of the two did not run.

    golden_rtl : golden and the engine that was asked for, where that is neither of the others; with
        gateware also all counters of the cores
    """

    torch_golden: bool | None
    golden_program: bool | None
    golden_rtl: bool | None


class Accuracy(_Part):
    """Shares of right answers, or mAP: float and quantized network on ``images`` test images, and
    the RTL on those that it ran."""

    float: Share
    quantized: Share
    rtl: Share | None
    images: Count


class Integration(_Part):
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


class Cycles(_Part):
    """Clock cycles. ``latency``: of the first image, in an empty chip; ``interval``: from one end
    to the next; ``busiest_core``: accumulate cycles per image of the core that has most."""

    latency: Figure | None
    interval: Figure | None
    busiest_core: Figure | None
    estimated_interval: Figure | None
    estimated_latency: Figure | None


class BusiestCore(_Part):
    """The core with most accumulate cycles per image."""

    node: Node
    layer: str
    cycles: Figure


class BusiestLink(_Part):
    """The link that most spikes of an image cross."""

    from_: Node = msgspec.field(name="from")
    to: Node
    spikes: Figure


class Estimate(_Part):
    """What the first ``images`` images were predicted to take, before the gateware ran."""

    interval: Figure | None
    latency: Figure
    images: Count
    busiest_core: BusiestCore
    busiest_link: BusiestLink


class AnnEnergy(_Part):
    """Picojoules per image of the same layers as multiply-accumulates on the same cores."""

    pj_per_image: Figure
    pj_per_image_in_registers: Figure
    parts: dict[str, Figure]
    layers: dict[str, dict[str, Figure]]
    model: str


class MemoryEnergy(_Part):
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


class Simulation(_Part):
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


class Layer(_Part):
    """One layer; figures are per image.

    cores : null where no chip was compiled for
    packets : spikes that left its cores, one for every core that hears them
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


class Object(_Part):
    """One detection: x0, y0, x1, y1 in pixels of the network's input."""

    class_: str = msgspec.field(name="class")
    score: Share
    box: tuple[float, float, float, float]


class Picture(_Part):
    """What was found in one image; ``picture`` is the file that shows it, beside the report."""

    picture: str
    objects: list[Object]


class Report(_Part):
    """Everything that report.json holds; figures per image are means over those that ran.

    schema_version : of this definition
    command : words of the command line
    started : ISO 8601, UTC
    model, dataset : as they were named
    data : where the images come from, in words
    weights : where the weights come from, in words
    images : test images that went through every engine
    tables, profile : as in ``settings``
    bias : format of every layer's biases, in words
    settings : everything that was asked for
    versions : of Python and of the packages that results may depend on
    commit : null outside a checkout
    hashes : of what went in and what came out
    times, machine : how long the stages took, and where
    bit_exact : which pairs of engines were equal in every spike
    differences : the first difference of each pair that was not
    integration : mode, and what it changes
    metric : name of what ``accuracy`` is
    accuracy : of the float network, the quantized one and the gateware
    neurons, parameters : of all layers
    macs_per_image : multiply-accumulates of the ANN, zero padding not counted
    sops_per_image : synaptic operations
    spikes_per_image : spikes fired; the input's are not among them
    energy_pj_per_image : picojoules of additions alone
    energy_model : what ``energy_pj_per_image`` and ``ann_energy_pj_per_image`` rest on
    ann_energy_pj_per_image : multiply-accumulates of the ANN alone
    layers : figures layer by layer
    cores, mesh, lanes : of the program: cores in use, columns and rows of nodes, neurons a word
    overflow_proved : whether no potential can leave its range; else ``overflow`` guards the run
    energy_memory : energy with memories and links
    estimate : predicted before the gateware ran
    cycles_per_image : measured, beside the estimate
    simulation : how long the gateware was simulated
    lane_utilisation : SOPs / (lanes * accumulate cycles), over all cores
    steady_lane_utilisation : SOPs of the busiest core / (lanes * interval)
    overflow : whether a core's sticky overflow flag was set
    detections : of a detector, image by image
    """

    schema_version: int
    command: list[str]
    started: str
    model: str
    dataset: str
    data: str
    weights: str
    images: Count
    tables: str
    profile: str
    bias: dict[str, str]
    settings: RunSettings
    versions: dict[str, str | None]
    commit: Commit | None
    hashes: Hashes
    times: Times
    machine: Machine
    bit_exact: BitExact
    differences: list[str]
    integration: Integration
    metric: str
    accuracy: Accuracy
    neurons: Count
    parameters: Count
    macs_per_image: Count
    sops_per_image: Figure
    spikes_per_image: Figure
    energy_pj_per_image: Figure
    energy_model: str
    ann_energy_pj_per_image: Figure
    layers: list[Layer]
    # A program
    cores: Count | UnsetType = UNSET
    mesh: Node | UnsetType = UNSET
    lanes: Count | UnsetType = UNSET
    overflow_proved: bool | UnsetType = UNSET
    energy_memory: MemoryEnergy | UnsetType = UNSET
    estimate: Estimate | UnsetType = UNSET
    cycles_per_image: Cycles | UnsetType = UNSET
    # Gateware
    simulation: Simulation | UnsetType = UNSET
    lane_utilisation: Share | UnsetType = UNSET
    # Of the interval's own image: can exceed 1 where images differ and few were run.
    steady_lane_utilisation: Figure | UnsetType | None = UNSET
    overflow: bool | UnsetType = UNSET
    # A detector
    detections: list[Picture] | UnsetType = UNSET


def _builtins(report: Report) -> dict[str, Any]:
    content: dict[str, Any] = msgspec.to_builtins(report)
    return content


def checked(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as plain JSON data, each field as defined.

    ``ValueError`` names one that is missing, unknown, of another type, or no number.
    """
    try:
        # Through JSON: numpy's floats become Python's, tuples lists, and NaN is refused.
        content = json.loads(json.dumps(report, allow_nan=False))
        return _builtins(msgspec.convert(content, Report))
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise ValueError(
            f"report: every field must be as in runtime/report/schema.py; {error}"
        ) from error


def read_report(path: Path) -> dict[str, Any]:
    """The report of a run: ``path`` is its folder, or the file itself.

    ``ValueError`` where nothing is there, or something else, or a report of another version.
    """
    file = path / REPORT_FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ValueError(
            f"{file}: must be the report of a run, got: {error.strerror}; name the folder or the "
            f"{REPORT_FILE} that 'stemcore sim' wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: must be JSON, got: {error}; {AGAIN}") from error
    if not isinstance(content, dict) or "bit_exact" not in content:
        raise ValueError(
            f"{file}: must be the report of a run, has no field 'bit_exact'; name the folder or "
            f"the {REPORT_FILE} that 'stemcore sim' wrote"
        )
    version = content.get("schema_version", "none, as reports had before version 1")
    if version != SCHEMA_VERSION:
        raise ValueError(f"{file}: schema_version must be {SCHEMA_VERSION}, got {version}; {AGAIN}")
    try:
        return _builtins(msgspec.convert(content, Report))
    except msgspec.ValidationError as error:
        raise ValueError(f"{file}: {error}; {AGAIN}") from error


def json_schema() -> dict[str, Any]:
    """The definition as JSON Schema (2020-12)."""
    return msgspec.json.schema(Report)
