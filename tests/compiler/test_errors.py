# SPDX-License-Identifier: Apache-2.0
"""Remedies that name presets name those that help."""

from stemcore.compiler.errors import preset_with
from stemcore.golden.spec.presets import PRESETS, get_preset

SIM32 = get_preset("sim32")


def test_presets_have_more_of_what_is_missing_and_less_of_nothing():
    assert preset_with(SIM32, "more weights", "n_weight_words") == (
        "choose a preset with more weights, such as sim32_wide or large, or make the layer smaller"
    )
    wider = preset_with(SIM32, "wider sums", "acc_width", otherwise="use fewer bits")
    assert wider.startswith("choose a preset with wider sums, such as large or large_maps, or use ")


def test_presets_that_have_not_enough_are_not_named():
    most = max(preset.n_weight_words for preset in PRESETS.values())
    assert "sim32_wide" not in preset_with(SIM32, "more weights", "n_weight_words", least=most)
    assert preset_with(SIM32, "more weights", "n_weight_words", least=most + 1) == (
        "make the layer smaller: no preset has more weights and memories no smaller"
    )


def test_any_size_counts_where_none_is_named():
    assert ", such as sim32_wide or large, or " in preset_with(SIM32, "room")
    assert ", such as large or large_maps, or " in preset_with(get_preset("ecp5"), "room")


def test_forms_of_integration_are_not_changed():
    late = SIM32.with_integration("late")
    assert preset_with(late, "wider sums", "acc_width") == (
        "make the layer smaller: no preset has wider sums and memories no smaller"
    )
    assert "sim32_wide or large" in preset_with(late, "more weights", "n_weight_words")


def test_nothing_is_named_where_nothing_helps():
    params = get_preset("large").with_(n_weight_words=1 << 20)
    assert preset_with(params, "room", otherwise="use fewer bits") == (
        "use fewer bits: no preset has room and memories no smaller"
    )
