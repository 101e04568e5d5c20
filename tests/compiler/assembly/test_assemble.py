# SPDX-License-Identifier: Apache-2.0
"""Memory words, against hand-written ones and against the definition of a connection."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from stemcore.compiler.assembly.assemble import assemble
from stemcore.compiler.assembly.check_program import check_program
from stemcore.compiler.assembly.core_image import requant_words, update_words
from stemcore.compiler.assembly.destinations import Destinations, DestinationsFullError
from stemcore.compiler.assembly.layer_info import count_macs
from stemcore.compiler.assembly.tables import Table
from stemcore.compiler.errors import AssembleError
from stemcore.compiler.mapping.connectivity import make_tile
from stemcore.compiler.mapping.partition import partition
from stemcore.compiler.mapping.place import place
from stemcore.compiler.mapping.weight_blocks import make_weight_blocks
from stemcore.compiler.pipeline import compile_network
from stemcore.golden.network.network import INPUT, MaxPool
from stemcore.golden.network.tail import Scale
from stemcore.golden.program.words import unpack_words
from stemcore.golden.spec.address_generation import loop_nest
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from tests.support.chains import chain, convolution, plain_layer
from tests.support.random_networks import random_network

TINY = get_preset("tiny")
FORMATS = Formats(TINY)


def fields(memories, memory):
    """Entries of a memory as dictionaries of integers."""
    columns = unpack_words(FORMATS.memory(memory)[0], memories[memory])
    names = list(columns)
    return [
        {name: int(value) for name, value in zip(names, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]


def weights_by_loop_nests(network, program, layer_index):
    """Dense weight[neuron, source neuron] of every connection of a layer, as all loop nests add
    them together: an array (connections, C, H, W before pooling, C, H, W of the source).
    """
    layer = network.layers[layer_index]
    shapes = [network.population(c.source).shape for c in layer.connections]
    dense = [np.zeros((*layer.shape, *shape), np.int64) for shape in shapes]
    parts = partition(network, TINY, program.columns * program.rows)
    for tile, core in zip(parts.tiles, program.cores, strict=True):
        if tile.layer != layer_index:
            continue
        memories = core.memories
        axons = fields(memories, Memory.AXON)
        weights = np.stack(
            [unpack_words(FORMATS.weight, memories[Memory.WEIGHT])[f"w{i}"] for i in range(4)],
            axis=1,
        )
        weights -= (weights > 127) * 256
        tables = []
        for memory in (Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X):
            depth = FORMATS.memory(memory)[1]
            rows = fields(memories, memory)
            none = {"acc": 0, "weight": 0, "count": 0}
            tables.append(rows + [none] * (depth - len(rows)))
        y0, (x0, x1), n_blocks = tile.pre_rows[0], tile.pre_columns, tile.n_blocks
        for a, connection in enumerate(layer.connections):
            for c, y, x in np.ndindex(shapes[a]):
                if not reads(connection, tile, c, y, x):
                    continue
                spike = {"c": c, "y": y, "x": x, "t": 0}
                for operation in loop_nest(TINY, axons[a], tuple(tables), spike):
                    position, block = divmod(operation.acc, n_blocks)
                    row, column = divmod(position, x1 - x0)
                    for lane in range(4):
                        neuron = (tile.blocks[0] + block) * 4 + lane
                        weight = weights[operation.weight, lane]
                        if neuron < layer.shape[0]:
                            # Tiles with overlapping windows agree on what they recompute.
                            dense[a][neuron, y0 + row, x0 + column, c, y, x] = weight
                        else:
                            assert weight == 0
    return dense


def reads(connection, tile, c, y, x):
    """Whether the tile's tables have to know this source neuron."""
    rows, columns = (
        any(o in range(*span) for _, o in kernel_positions(connection, axis, position))
        for axis, (position, span) in enumerate(((y, tile.pre_rows), (x, tile.pre_columns)))
    )
    per_group = connection.weight.shape[0] // connection.groups
    group = c // connection.weight.shape[1]
    neurons = range(group * per_group, (group + 1) * per_group)
    return rows and columns and any(n // 4 in range(*tile.blocks) for n in neurons)


def kernel_positions(connection, axis, position):
    """(kernel position, output) of every synapse of a source row (axis 0) or column (axis 1)."""
    taps = (connection.rows, connection.columns)[axis]
    if taps is not None:
        first, index = taps.first[position], taps.index[position]
        return [(index + j * taps.step, first + j) for j in range(taps.count[position])]
    stride, padding = connection.stride[axis], connection.padding[axis]
    at = position + padding
    return [
        (k, (at - k) // stride)
        for k in range(connection.weight.shape[2 + axis])
        if at >= k and (at - k) % stride == 0
    ]


def weights_by_definition(layer, connection, shape):
    dense = np.zeros((*layer.shape, *shape), np.int64)
    n_out, per_group = connection.weight.shape[:2]
    out_per_group = n_out // connection.groups
    for n, i, y, x in np.ndindex(layer.shape[0], per_group, *shape[1:]):
        c = n // out_per_group * per_group + i
        for ky, oy in kernel_positions(connection, 0, y):
            for kx, ox in kernel_positions(connection, 1, x):
                if oy < layer.shape[1] and ox < layer.shape[2]:
                    dense[n, oy, ox, c, y, x] = connection.weight[n, i, ky, kx]
    return dense


@pytest.mark.medium
def test_loop_nests_add_the_weights_of_the_definition(rng):
    for _ in range(5):
        network = random_network(rng, max_size=6, n_layers=2, size=6)
        parts = partition(network, TINY, 6)
        placement = place(network, TINY, parts.tiles, 3, 2)
        program = assemble(network, TINY, parts.tiles, placement, overflow_proved=True)
        for index, layer in enumerate(network.layers):
            found = weights_by_loop_nests(network, program, index)
            read = np.zeros(layer.shape, bool)
            for tile in (tile for tile in parts.tiles if tile.layer == index):
                channels = slice(tile.blocks[0] * 4, tile.blocks[1] * 4)
                read[channels, slice(*tile.pre_rows), slice(*tile.pre_columns)] = True
            for connection, got in zip(layer.connections, found, strict=True):
                shape = network.population(connection.source).shape
                wanted = weights_by_definition(layer, connection, shape)
                np.testing.assert_array_equal(got[read], wanted[read], err_msg=layer.name)


def test_words_of_a_small_dense_layer():
    """2 x 1 x 2 inputs onto 5 neurons: two blocks, the second with one neuron."""
    network = chain((2, 1, 2), ("dense", 5), bits=6, is_signed=True)
    core = compile_network(network, TINY, cores=1).cores[0]
    assert fields(core.memories, Memory.AXON) == [
        {
            "c_base": 0,
            "y_base": 0,
            "x_base": 0,
            "y_acc_step": 2,
            "x_acc_step": 2,
            "y_weight_step": 512 - 4,
            "x_weight_step": 512 - 2,
            "shift0": 5,
            "is_signed": 1,
            "tail": 0,
        }
    ]
    assert fields(core.memories, Memory.TABLE_C) == [
        {"acc": 0, "weight": 0, "count": 2},
        {"acc": 0, "weight": 4, "count": 2},
    ]
    assert fields(core.memories, Memory.TABLE_Y) == [{"acc": 0, "weight": 0, "count": 1}]
    assert fields(core.memories, Memory.TABLE_X) == [
        {"acc": 0, "weight": 0, "count": 1},
        {"acc": 0, "weight": 2, "count": 1},
    ]
    # weight[n, c, 0, x] = 1 + 4 n + 2 c + x; words by channel, column, block.
    words = [[int(c) for c in row] for row in core.memories[Memory.WEIGHT]]
    assert words == [
        [0x0D090501],
        [17],
        [0x0E0A0602],
        [18],
        [0x0F0B0703],
        [19],
        [0x100C0804],
        [20],
    ]
    assert fields(core.memories, Memory.UPDATE) == [
        {"acc": 0, "block": 0, "first": 1, "last": 1, "clear": 1},
        {"acc": 1, "block": 1, "first": 1, "last": 1, "clear": 1},
    ]
    assert fields(core.memories, Memory.FIRE) == [
        {"block": 0, "y": 0, "x": 0, "start": 0, "count": 1},
        {"block": 1, "y": 0, "x": 0, "start": 0, "count": 1},
    ]
    assert fields(core.memories, Memory.DESTINATION) == [
        {"x0": 0, "y0": 0, "x1": 0, "y1": 0, "axon": 0}
    ]
    assert [int(word) for word in core.memories[Memory.CONTROL][:, 0]] == [
        1,
        1,
        2,
        2,
        8,
        FORMATS.token_list.pack(start=0, count=1),
        FORMATS.token_list.pack(start=0, count=1),
    ]


def test_strided_tile_tables():
    """Rows 2 and 3 of a 3 x 3 convolution with stride 2, padding 1 read rows 3 to 7."""
    network = chain((1, 8, 2), 4)
    connection = convolution(INPUT, 1, 4, (3, 3), stride=2, padding=1)
    network = dataclasses.replace(network, layers=(plain_layer("half", (4, 4, 1), connection),))
    program = compile_network(network, TINY, cores=2)
    core = program.cores[1]
    table = fields(core.memories, Memory.TABLE_Y)
    axon = fields(core.memories, Memory.AXON)[0]
    assert (axon["y_base"] + 3) % TINY.n_table_y == 0
    assert (axon["y_acc_step"], axon["y_weight_step"]) == (1, 512 - 6)
    assert [(e["acc"], e["weight"], e["count"]) for e in table] == [
        (0, 0, 1),
        (0, 3, 1),
        (0, 6, 2),
        (1, 3, 1),
        (1, 6, 1),
    ]
    routes = {(route.rows, route.nodes) for route in program.input_routes}
    assert {rows for rows, _ in routes} == {(0, 3), (3, 7)}


def test_overlapping_windows_clear_with_the_last_read():
    pool = MaxPool((3, 1), (2, 1))
    layer = plain_layer("pooled", (8, 5, 1), convolution(INPUT, 1, 8, (1, 1)), pool=pool)
    tile = make_tile(layer, 0, (0, 2), (0, 2), (0, 1))
    order = np.array([(y, 0, block) for y in range(2) for block in range(tile.n_blocks)])
    words = update_words(TINY, layer, tile, order, "test")
    entries = fields({Memory.UPDATE: words}, Memory.UPDATE)
    assert [(e["acc"], e["block"], e["first"], e["last"], e["clear"]) for e in entries] == [
        (0, 0, 1, 0, 1),
        (2, 0, 0, 0, 1),
        (4, 0, 0, 1, 0),
        (1, 1, 1, 0, 1),
        (3, 1, 0, 0, 1),
        (5, 1, 0, 1, 0),
        (4, 0, 1, 0, 1),
        (6, 0, 0, 0, 1),
        (8, 0, 0, 1, 1),
        (5, 1, 1, 0, 1),
        (7, 1, 0, 0, 1),
        (9, 1, 0, 1, 1),
    ]


def test_words_between_windows_are_cleared():
    pool = MaxPool((1, 1), (2, 1))
    layer = plain_layer("gaps", (4, 3, 1), convolution(INPUT, 1, 4, (1, 1)), pool=pool)
    tile = make_tile(layer, 0, (0, 1), (0, 2), (0, 1))
    order = np.array([(y, 0, block) for y in range(2) for block in range(tile.n_blocks)])
    words = update_words(TINY, layer, tile, order, "test")
    entries = fields({Memory.UPDATE: words}, Memory.UPDATE)
    assert [(e["acc"], e["first"], e["last"], e["clear"]) for e in entries] == [
        (1, 1, 0, 1),
        (0, 1, 1, 1),
        (2, 1, 1, 1),
    ]


def test_idle_lanes_get_a_bias_that_the_table_maps_to_zero():
    table = np.full(16, 3)
    table[14] = 0  # the value -2
    layer = plain_layer(
        "odd",
        (5, 1, 1),
        convolution(INPUT, 1, 5, (1, 1)),
        bits=4,
        is_signed=True,
        table=table,
        bias_shift=1,
        bias=np.array([1, -1, 2, 3, -4]),
    )
    tile = make_tile(layer, 0, (0, 2), (0, 1), (0, 1))
    words = unpack_words(FORMATS.requant, requant_words(TINY, layer, tile))
    lanes = [FORMATS.requant_lane.unpack(int(words[f"lane{n % 2}"][n // 2])) for n in range(8)]
    assert [lane["bias"] for lane in lanes] == [
        1,
        2**32 - 1,
        2,
        3,
        2**32 - 4,
        2**32 - 2,
        2**32 - 2,
        2**32 - 2,
    ]
    assert [lane["shift"] for lane in lanes] == [8] * 5 + [8] * 3
    assert [lane["multiplier"] for lane in lanes] == [1] * 8


def test_table_without_a_zero_is_refused_where_lanes_are_idle():
    layer = chain((1, 2, 2), 5).layers[0]
    network = dataclasses.replace(
        chain((1, 2, 2), 5), layers=(dataclasses.replace(layer, table=np.ones(256, int)),)
    )
    match = r"^layer0: an activation table must have a zero where channels do not fill the last"
    with pytest.raises(AssembleError, match=match):
        compile_network(network, TINY)


def test_constant_depthwise_weights_take_one_weight_block_a_lane():
    weight_blocks = make_weight_blocks(
        convolution(INPUT, 32, 32, (2, 2), groups=32, value=5), (2, 6), 4
    )
    assert weight_blocks.n_words == 4 * 4
    assert weight_blocks.channels == (8, 24)
    assert (weight_blocks.tail, set(weight_blocks.count), set(weight_blocks.n_synapses)) == (
        0,
        {1},
        {1},
    )
    np.testing.assert_array_equal(weight_blocks.weight_block, np.arange(16) % 4)
    np.testing.assert_array_equal(weight_blocks.first, np.arange(16) // 4)


def test_groups_across_blocks_are_cut_at_the_tile():
    """Groups of six neurons, lanes of four: channel 1 reaches neurons 6..11, blocks 1 and 2."""
    weight_blocks = make_weight_blocks(convolution(INPUT, 2, 12, (1, 1), groups=2), (1, 2), 4)
    assert weight_blocks.channels == (0, 2)
    np.testing.assert_array_equal(weight_blocks.n_synapses, [2, 2])
    np.testing.assert_array_equal(weight_blocks.count, [1, 1])
    words = weight_blocks.words[weight_blocks.weight_block].reshape(2, 4)
    np.testing.assert_array_equal(words, [[5, 6, 0, 0], [0, 0, 7, 8]])


def test_dense_loop_nests_count_only_real_neurons():
    weight_blocks = make_weight_blocks(convolution(INPUT, 3, 10, (1, 1)), (1, 3), 4)
    assert weight_blocks.tail == 1
    assert not weight_blocks.words[..., 1, 2:].any()


def test_equal_runs_share_table_entries():
    table = Table("core", FORMATS.table_y, 4)
    run = {"acc": np.arange(2), "weight": np.arange(2), "count": np.ones(2, int)}
    assert (table.add(**run), table.add(**run), table.n_used) == (0, 0, 2)
    longer = {name: np.arange(3) for name in run}
    match = r"^core: must hold 5 entries, has 4; choose a preset with larger tables or more cores$"
    with pytest.raises(AssembleError, match=match):
        table.add(**longer)


def test_runs_of_destinations_share_entries():
    entries = [(i, 1, i, 1, 0) for i in range(5)]
    table = Destinations("core", TINY)
    runs = [tuple(entries[:3]), tuple(entries[1:3]), tuple(entries[2:5]), (), (entries[4],)]
    table.add_all(runs)
    assert table.entries == entries
    assert [table.run(run) for run in runs] == [(0, 3), (1, 2), (2, 3), (0, 0), (4, 1)]


def test_tables_may_be_full_and_no_fuller():
    table = Table("here", FORMATS.table_c, 4)
    entry = {name: np.arange(4) for name, _ in FORMATS.table_c.widths}
    assert table.add(**entry) == 0
    with pytest.raises(AssembleError):
        table.add(**{name: np.array([9]) for name in entry})
    table = Table("here", FORMATS.table_c, 1)
    assert table.append(**dict.fromkeys(entry, 1)) == 0
    with pytest.raises(AssembleError):
        table.append(**dict.fromkeys(entry, 1))
    destinations = Destinations("here", TINY.with_(n_destinations=2))
    destinations.add_all([((0, 1, 0, 1, 0), (1, 1, 1, 1, 0))])
    with pytest.raises(DestinationsFullError, match="must hold 3 entries, has 2"):
        destinations.add_all([((2, 1, 2, 1, 0),)])


def test_too_many_destinations_are_refused():
    table = Destinations("core", TINY)
    runs = [((x, y, x, y, axon),) for x in range(4) for y in range(1, 4) for axon in range(3)]
    match = r"^core: must hold 36 entries, has 32; choose a preset with more destinations, such as"
    with pytest.raises(DestinationsFullError, match=match):
        table.add_all(runs)


def test_macs_leave_padding_out():
    network = chain((2, 3, 3), 4)
    layer = network.layers[0]
    assert count_macs(network, layer, layer.connections[0]) == 7 * 7 * 2 * 4


def altered(program, memory, word, value):
    """The program with one word of its first core changed."""
    core = program.cores[0]
    words = core.memories[memory].copy()
    words[word] = value
    core = dataclasses.replace(core, memories={**core.memories, memory: words})
    return dataclasses.replace(program, cores=(core, *program.cores[1:]))


def test_check_finds_wrong_token_counts():
    program = compile_network(chain((1, 8, 8), 4, 4), TINY)
    check_program(program)
    match = r"^layer0 \(core \d, \d\): N_SOURCES is 5, 1 tokens arrive$"
    with pytest.raises(AssembleError, match=match):
        check_program(altered(program, Memory.CONTROL, Control.N_SOURCES, 5))
    match = r"^layer0 \(core \d, \d\): N_DESTINATIONS is 0, \d tokens arrive$"
    with pytest.raises(AssembleError, match=match):
        check_program(altered(program, Memory.CONTROL, Control.N_DESTINATIONS, 0))
    match = r"^host: awaits 9 ENDs, \d CREDITs, gets \{.*\}$"
    with pytest.raises(AssembleError, match=match):
        check_program(dataclasses.replace(program, output_ends=9))


def test_check_finds_overlapping_destinations():
    program = compile_network(chain((1, 8, 8), 4, 4, 4), TINY, cores=6)
    table = program.cores[0].memories[Memory.DESTINATION]
    whole = FORMATS.destination.pack(x0=0, y0=1, x1=7, y1=7, axon=0)
    changed = altered(program, Memory.DESTINATION, slice(len(table)), whole)
    match = r"^layer0 \(core \d, \d\): (destinations \d+\.\.\d+ overlap|sends end to .* no core)$"
    with pytest.raises(AssembleError, match=match):
        check_program(changed)


def test_check_finds_runs_that_leave_the_table():
    program = compile_network(chain((1, 8, 8), 4, 4), TINY)
    beyond = FORMATS.token_list.pack(start=30, count=1)
    match = r"^layer0 \(core \d, \d\): a run ends at destination 31 of \d+$"
    with pytest.raises(AssembleError, match=match):
        check_program(altered(program, Memory.CONTROL, Control.END_LIST, beyond))


def test_check_finds_tokens_of_the_host_for_nodes_without_cores():
    program = compile_network(chain((1, 8, 8), 4, 4), TINY)
    with pytest.raises(AssembleError, match=r"^host: sends end to \(7, 7\), which has no core$"):
        check_program(dataclasses.replace(program, input_end=((7, 7, 7, 7),)))
    cores = (*program.output_cores, (7, 7))
    with pytest.raises(AssembleError, match=r"^host: sends credit to \(7, 7\), which has no core$"):
        check_program(dataclasses.replace(program, output_cores=cores))


def test_a_program_has_the_tail_of_its_only_output():
    """From the output's integers on: first comes their scale."""
    network = dataclasses.replace(chain((2, 3, 3), 4), tail=(Scale(3.0),))
    network = dataclasses.replace(network, scales={network.output.name: Fraction(1, 4)})
    program = compile_network(network, TINY)
    assert program.tail == (Scale(0.25), Scale(3.0))
    assert not program.results
    plain = compile_network(dataclasses.replace(network, tail=()), TINY)
    assert plain.tail == ()
