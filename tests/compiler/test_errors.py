# SPDX-License-Identifier: Apache-2.0
"""Remedies that name presets name those that help."""

from stemcore.compiler.errors import preset_with
from stemcore.golden.spec.presets import get_preset

SIM32 = get_preset("sim32")


def test_presets_have_more_of_what_is_missing_and_less_of_nothing():
    assert preset_with(SIM32, "more weights", "n_weight_words") == (
        "choose a preset with more weights, such as sim32_wide or large"
    )
    wider = preset_with(SIM32, "wider sums", "acc_width")
    assert wider == "choose a preset with wider sums, such as large"


def test_any_size_counts_where_none_is_named():
    assert preset_with(SIM32, "room").endswith(", such as sim32_wide or large")
    assert preset_with(get_preset("ecp5"), "room").endswith(", such as sim32 or sim32_wide")


def test_forms_of_integration_are_not_changed():
    late = SIM32.with_integration("late")
    assert preset_with(late, "wider sums", "acc_width") == "choose a preset with wider sums"
    assert preset_with(late, "more weights", "n_weight_words").endswith("sim32_wide or large")


def test_nothing_is_named_where_nothing_helps():
    assert preset_with(get_preset("large"), "room") == "choose a preset with room"
