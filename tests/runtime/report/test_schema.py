# SPDX-License-Identifier: Apache-2.0
"""report.json is what its definition says, and nothing else is taken for one."""

import copy
import json
import math

import numpy as np
import pytest

from stemcore.runtime.engines.result import GroupRun, VirtualRun
from stemcore.runtime.report import schema
from stemcore.runtime.report.figures import virtual_figures, write_json
from stemcore.runtime.report.schema import checked, json_schema, read_report
from tests.support.reports import golden_report, rtl_report

REPORTS = pytest.mark.parametrize("make", [golden_report, rtl_report])


@REPORTS
def test_what_is_written_is_what_is_read(tmp_path, make):
    report = checked(make())
    write_json(tmp_path / "report.json", report)
    assert read_report(tmp_path) == report
    assert read_report(tmp_path / "report.json") == report
    assert list(read_report(tmp_path)) == list(report)


def test_cores_in_turn_are_a_part_of_the_report(tmp_path):
    group = GroupRun(2, ("conv", "dense"), 100, 60, None, 20.0, 10.0)
    figures = virtual_figures(VirtualRun(2, (2, 1), 4, 1, (group,)), 4)
    report = checked(rtl_report(virtual_cores=figures))
    write_json(tmp_path / "report.json", report)
    turns = read_report(tmp_path)["virtual_cores"]
    assert (turns["cores_on_chip"], turns["batch"], turns["batches"]) == (2, 4, 1)
    assert (turns["load_cycles"], turns["compute_cycles"]) == (25.0, None)
    assert turns["groups"][0]["layers"] == ["conv", "dense"]
    with pytest.raises(ValueError, match=r"virtual_cores"):
        checked({**report, "virtual_cores": {**figures, "batch": -1}})


@REPORTS
def test_no_field_may_be_missing_or_unknown(make):
    report = make()
    required = json_schema()["$defs"]["Report"]["required"]
    for name in required:
        short = {key: value for key, value in report.items() if key != name}
        with pytest.raises(ValueError, match=rf"^report: .*missing required field `{name}`"):
            checked(short)
    with pytest.raises(ValueError, match=r"contains unknown field `form` - at `\$.integration`"):
        checked({**report, "integration": {"form": "exact"}})
    with pytest.raises(ValueError, match=r"contains unknown field `sops`$"):
        checked({**report, "sops": 3})


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("accuracy", "quantized"), 1.5, r"`float` <= 1.0 - at `\$.accuracy.quantized`"),
        (("accuracy", "quantized"), math.nan, r"Out of range float values"),
        (("images",), "two", r"Expected `int`, got `str` - at `\$.images`"),
        (("images",), np.int64(2), r"int64 is not JSON serializable"),
        (("hashes", "data"), "", r"matching regex .* - at `\$.hashes.data`"),
        (("layers", 0, "macs"), -1, r"Expected `int` >= 0 - at `\$.layers\[0\].macs`"),
        (("simulation", "cycles"), None, r"Expected `int`, got `null` - at `\$.simulation.cycles`"),
    ],
)
def test_a_field_of_another_type_is_named(place, value, message):
    report = copy.deepcopy(rtl_report())
    *parents, last = place
    target = report
    for key in parents:
        target = target[key]
    target[last] = value
    with pytest.raises(ValueError, match=message):
        checked(report)


def test_numpys_numbers_are_numbers():
    assert checked(golden_report(sops_per_image=np.float64(3)))["sops_per_image"] == 3.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"report.json: must be JSON, got: Expecting property name"),
        ("[1]", r"report.json: must be the report of a run, has no field 'bit_exact'; name"),
        ('{"points": []}', r"report.json: must be the report of a run, has no field 'bit_exact'"),
        ('{"bit_exact": {}}', r"schema_version must be 1, got none, as reports had before"),
        ('{"bit_exact": {}, "schema_version": 2}', r"schema_version must be 1, got 2; run it"),
        ('{"bit_exact": {}, "schema_version": 1}', r"report.json: Object missing required field"),
        ("[" * 100_000, r"report.json: must be JSON"),
    ],
)
def test_what_is_no_report_of_this_version_is_told(tmp_path, content, message):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_report(tmp_path)


def test_a_folder_without_a_report_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"report.json: must be the report of a run, got: No such"):
        read_report(tmp_path)
    with pytest.raises(ValueError, match=r"nowhere: must be the report of a run, got: No such"):
        read_report(tmp_path / "nowhere")


def test_schema_for_other_programs_describes_every_field():
    definitions = json_schema()["$defs"]
    assert json.loads(json.dumps(definitions)) == definitions
    assert all(part["additionalProperties"] is False for part in definitions.values())
    assert all(part["description"] for part in definitions.values())
    assert set(definitions["Report"]["properties"]) == set(rtl_report()) | {
        "board",
        "detections",
        "outputs",
        "tail",
        "notes",
        "fidelity",
        "virtual_cores",
    }
    assert schema.SCHEMA_VERSION == rtl_report()["schema_version"]
