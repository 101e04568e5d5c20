# SPDX-License-Identifier: Apache-2.0
"""Lists in the explanations name what the code has, all of it."""

import re
from pathlib import Path

import msgspec

from stemcore.compiler.lowering.integrate import modes
from stemcore.compiler.pipeline import STAGES
from stemcore.compiler.quantization.quantized import PROFILES
from stemcore.golden.spec.fields import Kind
from stemcore.runtime.engines.registry import engines
from stemcore.runtime.report.schema import Report

PAGES = Path(__file__).resolve().parents[2] / "docs" / "explanation"


def first_cells(page, heading):
    """The first column of the table with this first heading."""
    text = (PAGES / page).read_text()
    table = text[text.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [line.strip("|").split("|")[0].strip().strip("`") for line in table]


def test_all_engines_are_listed():
    assert sorted(first_cells("verification.md", "engine")) == sorted(engines())


def test_all_profiles_are_explained():
    text = (PAGES / "numbers.md").read_text().split("## Profiles")[1].split("\n## ")[0]
    assert set(re.findall(r"^\*\*(\w+)\*\*", text, re.MULTILINE)) == set(PROFILES)


def test_all_tokens_are_listed():
    payloads = {Kind.SPIKE, Kind.ADDRESS, Kind.WRITE, Kind.READ, Kind.DATA}
    assert set(first_cells("tokens.md", "token")) == {k.name for k in Kind if k not in payloads}


def test_every_field_of_a_report_has_a_meaning_in_the_definition():
    lines = re.findall(r"^\s+(\w+(?:, \w+)*) : ", Report.__doc__, re.MULTILINE)
    described = [name for line in lines for name in line.split(", ")]
    fields = [field.encode_name for field in msgspec.structs.fields(Report)]
    assert sorted(described) == sorted(fields)


def test_stages_are_listed_in_their_order():
    assert first_cells("compiler.md", "stage") == list(STAGES)


def test_all_modes_of_16_bit_integration_are_listed():
    assert sorted(["exact", *first_cells("numbers.md", "mode")]) == sorted(modes())
