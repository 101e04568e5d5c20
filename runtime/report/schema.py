# SPDX-License-Identifier: Apache-2.0
"""report.json: every field, its type and its meaning, in one definition.

:class:`Report` is the whole, :mod:`.schema_parts` has the objects within it. :func:`checked` holds
what a run found to it before anything is written, :func:`read_report` what a file contains, and
:func:`json_schema` is the same for other programs. A key that is not defined is an error in both
directions.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from stemcore.files import read_file
from stemcore.golden.spec.routing import Node

from .schema_parts import (
    Accuracy,
    BitExact,
    Commit,
    Count,
    Cycles,
    Estimate,
    Fidelity,
    Figure,
    Hashes,
    Integration,
    Layer,
    Machine,
    MemoryEnergy,
    Part,
    Picture,
    RunSettings,
    Share,
    Simulation,
    Times,
    VirtualCores,
)

SCHEMA_VERSION = 1
REPORT_FILE = "report.json"
# Metrics; agreement where labels are missing or do not fit: the largest output is the float one's.
ACCURACY, AGREEMENT = "accuracy", "agreement"
AGAIN = "run it again with this version"


class Report(Part):
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
    outputs : what the output's values were taken for, and how their scale was chosen, in words
    tail : what the host computes of the outputs after the chip, in words
    notes : what was changed while the model was read
    metric : name of what ``accuracy`` is; ``agreement`` where labels are missing or do not fit: the
        share of images whose largest output is the float network's
    accuracy : of the float network, the quantized one and the gateware
    fidelity : how near the quantized network is to the float one
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
    virtual_cores : how cores took turns, on a chip with fewer than ``cores``
    estimate : predicted before the gateware ran
    cycles_per_image : measured, beside the estimate
    simulation : how long the gateware was simulated
    board : what the driver of a board noted: seconds, bytes on the stream, how images went
    lane_utilisation : SOPs / (lanes * accumulate cycles), over all cores
    steady_lane_utilisation : SOPs of the busiest core, mean of all images, / (lanes * interval);
        above 1 where the images that the interval is of had less work than the first
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
    outputs: str | UnsetType = UNSET
    tail: str | UnsetType = UNSET
    notes: list[str] | UnsetType = UNSET
    fidelity: Fidelity | UnsetType = UNSET
    # A program
    cores: Count | UnsetType = UNSET
    mesh: Node | UnsetType = UNSET
    lanes: Count | UnsetType = UNSET
    overflow_proved: bool | UnsetType = UNSET
    energy_memory: MemoryEnergy | UnsetType = UNSET
    virtual_cores: VirtualCores | UnsetType = UNSET
    estimate: Estimate | UnsetType = UNSET
    cycles_per_image: Cycles | UnsetType = UNSET
    # Gateware
    simulation: Simulation | UnsetType = UNSET
    board: dict[str, Any] | UnsetType = UNSET
    lane_utilisation: Share | UnsetType = UNSET
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
        content = json.loads(read_file(file))
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
