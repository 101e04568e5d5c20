# SPDX-License-Identifier: Apache-2.0
import pytest

from stemcore.golden.spec.neurons import MODELS
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.widths import bits_for


@pytest.mark.parametrize(
    ("n_values", "width"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9)]
)
def test_bits_for_tells_values_apart(n_values, width):
    assert bits_for(n_values) == width


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_preset_survives_its_dictionary(name):
    params = get_preset(name)
    assert ChipParams.from_dict(params.to_dict()) == params


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_preset_addresses_cover_its_memories(name):
    params = get_preset(name)
    for depth, width in [
        (params.n_acc_words, params.acc_address_width),
        (params.n_weight_words, params.weight_address_width),
        (params.n_axons, params.axon_width),
        (params.n_table_c, params.table_c_width),
        (params.n_table_y, params.table_y_width),
        (params.n_table_x, params.table_x_width),
        (params.n_update, params.update_address_width),
        (params.n_blocks, params.block_width),
        (params.n_fire_words, params.fire_address_width),
        (params.n_destinations, params.destination_width),
        (params.lanes, params.lane_width),
    ]:
        assert 1 << (width - 1) < depth <= 1 << width


def test_groups_and_mesh_follow_from_the_fields():
    params = get_preset("tiny")
    assert (params.n_groups, params.t_width) == (2, 4)
    assert (params.max_columns, params.max_rows) == (8, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_axons": 0}, r"^ChipParams\.n_axons: must be a positive integer, got 0$"),
        ({"lanes": 12}, r"^ChipParams\.lanes: must be a power of two, got 12$"),
        ({"soma_lanes": 32}, r"^ChipParams\.soma_lanes: must divide lanes .*got 32 of 32 lanes$"),
        ({"soma_lanes": 3}, r"^ChipParams\.soma_lanes: must divide lanes .*got 3 of 32 lanes$"),
        ({"acc_width": 33}, r"^ChipParams\.acc_width: must be 16 to 32, got 33$"),
        (
            {"integration": "late"},
            r"^ChipParams\.acc_width: must be 16 where integration is 'late', got 24$",
        ),
        (
            {"integration": "soon"},
            rf"^ChipParams\.integration: must be one of {', '.join(MODELS)}, got 'soon'$",
        ),
        ({"c_width": 5}, r"^ChipParams\.c_width: must exceed the lane index's 5 bits, got 5$"),
    ],
)
def test_params_refuse_sizes_that_cannot_be_built(changes, message):
    with pytest.raises(ValueError, match=message):
        ChipParams().with_(**changes)


def test_with_integration_brings_its_accumulators():
    exact = ChipParams()
    late = exact.with_integration("late")
    assert (late.integration, late.acc_width, late.model.name) == ("late", 16, "late")
    assert late.with_integration("exact") == exact
    assert exact.with_integration("exact") is exact
    darwin3 = get_preset("darwin3")
    assert (darwin3.lanes * darwin3.n_acc_words, darwin3.integration) == (4096, "scaled")
    assert darwin3.max_columns >= 24 and darwin3.max_rows >= 24


def test_from_dict_names_unknown_and_missing_keys():
    values = ChipParams().to_dict()
    values["lane"] = values.pop("lanes")
    message = r"^ChipParams: unknown keys \['lane'\], missing keys \['lanes'\]$"
    with pytest.raises(ValueError, match=message):
        ChipParams.from_dict(values)


def test_get_preset_names_those_that_exist():
    message = r"^preset: must be one of artix, darwin3, ecp5, .*tiny, .*got 'huge'$"
    with pytest.raises(ValueError, match=message):
        get_preset("huge")
