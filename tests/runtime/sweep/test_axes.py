# SPDX-License-Identifier: Apache-2.0
"""Which points a sweep has."""

import argparse

import pytest

from stemcore.compiler.errors import CompileError
from stemcore.runtime.commands import sweep as command
from stemcore.runtime.sweep.axes import AXES, combinations, parse_values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("8", ("8",)),
        ("2..5", ("2", "3", "4", "5")),
        ("2..2", ("2",)),
        ("none,rd20", ("none", "rd20")),
        ("2, 4..5,8", ("2", "4", "5", "8")),
        ("8;8,fc=4", ("8", "8,fc=4")),
        ("8,fc=4;", ("8,fc=4",)),
        ("percentile:99.9,mse", ("percentile:99.9", "mse")),
    ],
)
def test_values_are_read_in_order(text, values):
    assert parse_values(text, "--bits") == values


@pytest.mark.parametrize("text", ["", "2,", ",2", "5..2", "2;;3", ";", ";2"])
def test_values_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match=r"^--bits: must be values between commas or semicolons,"):
        parse_values(text, "--bits")


@pytest.mark.parametrize("text", ["2,2", "2..4,3"])
def test_a_value_that_comes_twice_is_refused(text):
    with pytest.raises(ValueError, match=r"^--bits: each value must come once, '[23]' came twice"):
        parse_values(text, "--bits")


def test_combinations_are_all_there_in_order():
    found = list(combinations({"bits": ("2", "3"), "tables": ("none", "rd20")}))
    assert found == [
        (("bits", "2"), ("tables", "none")),
        (("bits", "2"), ("tables", "rd20")),
        (("bits", "3"), ("tables", "none")),
        (("bits", "3"), ("tables", "rd20")),
    ]
    assert list(combinations({})) == [()]


def test_too_many_points_are_refused():
    with pytest.raises(ValueError, match=r"^sweep: must have at most 10,000 points, 40,000 came"):
        next(combinations({name: [str(n) for n in range(200)] for name in ("cores", "bits")}))


def options(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_options_become_settings():
    words = ["--model=digits_cnn", "--bits=2..3", "--tables=none,rd20", "--mesh=3x3", "--cores=6"]
    base, points = command.settings_of(options(*words))
    assert (base.bits, base.tables, base.mesh, base.cores) == (8, "none", (3, 3), 6)
    assert [dict(choice) for choice, _ in points] == [
        {"bits": bits, "tables": tables} for bits in "23" for tables in ("none", "rd20")
    ]
    assert [(s.bits, s.tables) for _, s in points] == [
        (bits, tables) for bits in (2, 3) for tables in ("none", "rd20")
    ]
    assert all(s.mesh == (3, 3) and s.cores == 6 and s.model == "digits_cnn" for _, s in points)


def test_one_point_is_a_sweep_too():
    base, points = command.settings_of(options("--model=digits_cnn", "--bits=4"))
    assert points == [((), base)]
    assert base.bits == 4


@pytest.mark.parametrize(
    ("word", "error", "message"),
    [
        ("--preset=sim32,sim64", ValueError, r"^sweep: argument --preset: invalid choice: 'sim64'"),
        ("--cores=1,zero", ValueError, r"^sweep: argument --cores: must be at least 1, got 'zero'"),
        ("--mesh=2x2,3", ValueError, r"^sweep: argument --mesh: must be columns x rows"),
        ("--bits=8,fc=4", ValueError, r"^--bits: values that have commas .*; write '8,fc=4;' for"),
        ("--bits=2..9", CompileError, r"^all layers: bits must be 2 to 8, got 9"),
    ],
)
def test_a_value_that_is_none_of_its_option_is_refused(word, error, message):
    with pytest.raises(error, match=message):
        command.settings_of(options("--model=digits_cnn", word))


def test_axes_are_options_of_every_run():
    assert set(AXES) <= set(vars(options()))
