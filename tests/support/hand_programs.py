# SPDX-License-Identifier: Apache-2.0
"""Small programs assembled by hand, each with the network that it must compute.

They do not pass through the compiler: where a layer is laid out here, the memory map is written
down in the docstring, word for word as the core's contract reads it. Preset ``tiny`` (4 lanes, 2 of
them in the soma), so that Amaranth's simulator runs them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcore.golden.network.network import INPUT, Connection, Layer, MaxPool, Network, Population
from stemcore.golden.program.program import CoreImage, InputRoute, LayerInfo, Program
from stemcore.golden.program.words import pack_words
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import HOST

TO_HOST = (*HOST, *HOST)

LoopNests = list[tuple[int, int, int]]


def axis_table(
    size: int,
    n_out: int,
    kernel: int,
    stride: int,
    padding: int,
    acc_step: int,
    weight_step: int,
) -> tuple[LoopNests, int, int]:
    """Words of a row or column table for a convolution along one axis.

    Output o takes source ``y = o * stride + k - padding`` with kernel element k. A source thus
    visits the outputs o from the first one that reaches it, each with k smaller by ``stride``.
    Output o lies at ``o * acc_step``, kernel element k at ``k * weight_step``.

    Returns the words (acc, weight, count) for sources 0 .. size-1, and the loop nest's steps.
    """
    words: LoopNests = []
    for y in range(size):
        taps = [(o, y + padding - o * stride) for o in range(n_out)]
        taps = [(o, k) for o, k in taps if 0 <= k < kernel]
        o, k = taps[0] if taps else (0, 0)
        words.append((o * acc_step, k * weight_step, len(taps)))
    return words, acc_step, -stride * weight_step


def weight_words(weight: NDArray[np.int8], lanes: int) -> NDArray[np.int64]:
    """Words [ky][kx][c_in][block] of weights (C_out, C_in, K_y, K_x), idle lanes zero."""
    c_out = len(weight)
    n_blocks = -(-c_out // lanes)
    padded = np.zeros((n_blocks * lanes, *weight.shape[1:]), np.int64)
    padded[:c_out] = weight
    by_tap = padded.transpose(2, 3, 1, 0)
    return by_tap.reshape(-1, lanes)


def core_image(
    params: ChipParams,
    node: tuple[int, int],
    layer: str,
    *,
    n_sources: int,
    n_destinations: int,
    mode: Mapping[str, int],
    axons: Sequence[Mapping[str, int]],
    table_c: LoopNests,
    table_y: LoopNests,
    table_x: LoopNests,
    weights: NDArray[np.int64],
    update_pass: Sequence[Mapping[str, int]],
    requant: Mapping[str, ArrayLike],
    fire: Sequence[Mapping[str, int]],
    destinations: Sequence[tuple[tuple[int, int, int, int], int]],
    end_list: tuple[int, int],
    credit_list: tuple[int, int],
    lookup: ArrayLike = (),
) -> CoreImage:
    """Pack the contents of a core. ``requant`` has arrays of a value per channel of the blocks."""
    formats = Formats(params)

    def rows(memory: Memory, words: Sequence[Mapping[str, int]]) -> NDArray[np.uint32]:
        layout = formats.memory(memory)[0]
        assert layout is not None
        columns = {name: [word[name] for word in words] for name, _ in layout.widths}
        return pack_words(layout, columns)

    def table(memory: Memory, words: LoopNests) -> NDArray[np.uint32]:
        return rows(memory, [dict(zip(("acc", "weight", "count"), w, strict=True)) for w in words])

    control = [
        n_sources,
        n_destinations,
        len(update_pass),
        len(fire),
        formats.mode.pack(**mode),
        formats.token_list.pack(start=end_list[0], count=end_list[1]),
        formats.token_list.pack(start=credit_list[0], count=credit_list[1]),
    ]
    lanes = {f"w{i}": weights[:, i] & 0xFF for i in range(params.lanes)}
    constants = formats.requant_lane.pack(
        bias=np.asarray(requant["bias"], np.int64) & 0xFFFFFFFF,
        multiplier=np.asarray(requant["multiplier"], np.int64),
        shift=np.asarray(requant["shift"], np.int64),
    ).reshape(-1, params.soma_lanes)
    groups = {f"lane{i}": constants[:, i] for i in range(params.soma_lanes)}
    corners = ("x0", "y0", "x1", "y1")
    memories = {
        Memory.CONTROL: np.array(control, np.uint32)[:, None],
        Memory.AXON: rows(Memory.AXON, axons),
        Memory.TABLE_C: table(Memory.TABLE_C, table_c),
        Memory.TABLE_Y: table(Memory.TABLE_Y, table_y),
        Memory.TABLE_X: table(Memory.TABLE_X, table_x),
        Memory.WEIGHT: pack_words(formats.weight, lanes),
        Memory.UPDATE: rows(Memory.UPDATE, update_pass),
        Memory.REQUANT: pack_words(formats.requant, groups),
        Memory.LOOKUP: pack_words(formats.lookup, {"value": np.asarray(lookup, np.int64) & 0xFF}),
        Memory.FIRE: rows(Memory.FIRE, fire),
        Memory.DESTINATION: rows(
            Memory.DESTINATION,
            [dict(zip(corners, nodes, strict=True), axon=axon) for nodes, axon in destinations],
        ),
    }
    return CoreImage(*node, layer, memories)


def layer_info(layer: Layer, n_macs: int) -> LayerInfo:
    """Report figures of a layer."""
    n_parameters = len(layer.bias) + sum(c.weight.size for c in layer.connections)
    return LayerInfo(layer.population, layer.shape, n_macs, n_parameters)


def per_lane(values: NDArray[np.int64], lanes: int) -> NDArray[np.int64]:
    """Values of the channels, with zeros for the idle lanes of the last block."""
    return np.pad(values, (0, -len(values) % lanes))


def dense_program(
    seed: int = 0, *, multipliers: bool = False, lookup: bool = False
) -> tuple[Program, Network]:
    """One core at node (0, 1): a dense layer from 2 x 2 signed inputs of 4 bits to 6 neurons.

    The output is signed, 5 bits (T = 5). Two blocks of four lanes, of which the last has two idle
    lanes. ``multipliers`` uses the general profile with the bias shifted by one byte; ``lookup`` an
    activation table that reverses the sign.

    =============  ======  ========================================================
    memory         word    contents
    =============  ======  ========================================================
    AXON           0       the input, T = 4, signed
    TABLE_C        0       the one channel: accumulators 0 and 1, two blocks
    TABLE_Y        y       weight 4y
    TABLE_X        x       weight 2x
    WEIGHT         4y+2x+b neurons 4b to 4b+3 for input (y, x)
    UPDATE          b       accumulator word b, a window by itself, cleared
    REQUANT        2b+g    neurons 4b+2g and 4b+2g+1
    FIRE           b       neurons 4b to 4b+3 at y = x = 0, to destination 0
    DESTINATION    0       the host: spikes, END and CREDIT
    =============  ======  ========================================================
    """
    rng = np.random.default_rng(seed)
    params = get_preset("tiny")
    n_out, n_blocks = 6, 2
    weight = rng.integers(-127, 128, (n_out, 1, 2, 2)).astype(np.int8)
    if multipliers:
        multiplier = rng.integers(1 << 15, 1 << 16, n_out)
        shift, bias = np.full(n_out, 22), rng.integers(-(1 << 16), 1 << 16, n_out)
    else:
        multiplier, shift = np.ones(n_out, np.int64), np.full(n_out, 6)
        bias = rng.integers(-500, 500, n_out)
    table = None
    if lookup:
        index = np.arange(32)
        table = -np.maximum(np.where(index < 16, index, index - 32), -15)
    layer = Layer(
        "dense",
        (n_out, 1, 1),
        (Connection(INPUT, weight),),
        bias,
        multiplier,
        shift,
        bias_shift=int(multipliers),
        bits=5,
        is_signed=True,
        table=table,
    )
    source = Population(INPUT, (1, 2, 2), 4, True)
    core = core_image(
        params,
        (0, 1),
        "dense",
        n_sources=1,
        n_destinations=1,
        mode={
            "bits": 5,
            "is_signed": 1,
            "use_lookup": int(lookup),
            "bias_shift": int(multipliers),
            "is_raw": 0,
            "gap": 0,
        },
        axons=[
            {
                "c_base": 0,
                "y_base": 0,
                "x_base": 0,
                "y_acc_step": 0,
                "x_acc_step": 0,
                "y_weight_step": 0,
                "x_weight_step": 0,
                "shift0": 3,
                "is_signed": 1,
                "tail": 1,
            }
        ],
        table_c=[(0, 0, n_blocks)],
        table_y=[(0, 4 * y, 1) for y in range(2)],
        table_x=[(0, 2 * x, 1) for x in range(2)],
        weights=weight_words(weight, params.lanes),
        update_pass=[
            {"acc": b, "block": b, "first": 1, "last": 1, "clear": 1} for b in range(n_blocks)
        ],
        requant={
            "bias": per_lane(bias, 4),
            "multiplier": per_lane(multiplier, 4),
            "shift": per_lane(shift, 4),
        },
        fire=[{"block": b, "y": 0, "x": 0, "start": 0, "count": 1} for b in range(n_blocks)],
        destinations=[(TO_HOST, 0)],
        end_list=(0, 1),
        credit_list=(0, 1),
        lookup=() if table is None else table,
    )
    program = Program(
        name="dense",
        params=params,
        columns=1,
        rows=1,
        cores=(core,),
        layers=(layer_info(layer, weight.size),),
        input=source,
        input_routes=(InputRoute((0, 1), (0, 1), (0, 1, 0, 1), 0),),
        input_end=((0, 1, 0, 1),),
        input_credits=1,
        output="dense",
        output_ends=1,
        output_cores=((0, 1),),
    )
    return program, Network("dense", source, (layer,), {INPUT: 1.0, "dense": 1.0})


def conv_chain_program(seed: int = 0) -> tuple[Program, Network]:
    """Three cores: a 3 x 3 convolution split by channels over two, and a dense layer in the third.

    Input 2 x 4 x 4, unsigned 8 bits, multicast to both. ``conv``: 2 to 8 channels, padding 1,
    weights shifted left by one, maximum over 2 x 2, unsigned 8 bits; node (0, 1) has channels 0 to
    3, node (1, 1) channels 4 to 7. ``dense``: 8 x 2 x 2 to 3 neurons, signed 8 bits, node (0, 2).

    Convolution cores: accumulator word 4y + x is output (y, x); weight word 6ky + 2kx + c. The
    update pass goes through the four words of a pooling window, window by window; activation word
    2y + x. Dense core: weight word 16y + 8x + c, one accumulator word.

    Destinations of a convolution core: 0 the dense core, 1 the host (for CREDIT); of the dense
    core: 0 the host, 1 both convolution cores (for CREDIT).
    """
    rng = np.random.default_rng(seed)
    params = get_preset("tiny")
    source = Population(INPUT, (2, 4, 4), 8, False)
    conv_weight = rng.integers(-127, 128, (8, 2, 3, 3)).astype(np.int8)
    dense_weight = rng.integers(-127, 128, (3, 8, 2, 2)).astype(np.int8)
    conv = Layer(
        "conv",
        (8, 4, 4),
        (Connection(INPUT, conv_weight, padding=(1, 1), shift=1),),
        rng.integers(-9000, 9000, 8),
        np.ones(8, np.int64),
        np.full(8, 9),
        pool=MaxPool((2, 2), (2, 2)),
    )
    dense = Layer(
        "dense",
        (3, 1, 1),
        (Connection("conv", dense_weight),),
        rng.integers(-9000, 9000, 3),
        np.ones(3, np.int64),
        np.full(3, 10),
        is_signed=True,
    )

    rows, y_acc_step, y_weight_step = axis_table(4, 4, 3, 1, 1, acc_step=4, weight_step=6)
    columns, x_acc_step, x_weight_step = axis_table(4, 4, 3, 1, 1, acc_step=1, weight_step=2)
    modulus = 1 << params.weight_address_width
    windows = [
        [4 * (2 * y + dy) + 2 * x + dx for dy in range(2) for dx in range(2)]
        for y in range(2)
        for x in range(2)
    ]
    cores = [
        core_image(
            params,
            (block, 1),
            "conv",
            n_sources=1,
            n_destinations=1,
            mode={
                "bits": 8,
                "is_signed": 0,
                "use_lookup": 0,
                "bias_shift": 0,
                "is_raw": 0,
                "gap": 0,
            },
            axons=[
                {
                    "c_base": 0,
                    "y_base": 0,
                    "x_base": 0,
                    "y_acc_step": y_acc_step,
                    "x_acc_step": x_acc_step,
                    "y_weight_step": y_weight_step % modulus,
                    "x_weight_step": x_weight_step % modulus,
                    "shift0": 8,
                    "is_signed": 0,
                    "tail": 3,
                }
            ],
            table_c=[(0, c, 1) for c in range(2)],
            table_y=rows,
            table_x=columns,
            weights=weight_words(conv_weight[4 * block : 4 * block + 4], params.lanes),
            update_pass=[
                {"acc": acc, "block": 0, "first": int(n == 0), "last": int(n == 3), "clear": 1}
                for window in windows
                for n, acc in enumerate(window)
            ],
            requant={
                name: getattr(conv, name)[4 * block : 4 * block + 4]
                for name in ("bias", "multiplier", "shift")
            },
            fire=[
                {"block": block, "y": y, "x": x, "start": 0, "count": 1}
                for y in range(2)
                for x in range(2)
            ],
            destinations=[((0, 2, 0, 2), 0), (TO_HOST, 0)],
            end_list=(0, 1),
            credit_list=(1, 1),
        )
        for block in range(2)
    ]
    cores.append(
        core_image(
            params,
            (0, 2),
            "dense",
            n_sources=2,
            n_destinations=1,
            mode={
                "bits": 8,
                "is_signed": 1,
                "use_lookup": 0,
                "bias_shift": 0,
                "is_raw": 0,
                "gap": 0,
            },
            axons=[
                {
                    "c_base": 0,
                    "y_base": 0,
                    "x_base": 0,
                    "y_acc_step": 0,
                    "x_acc_step": 0,
                    "y_weight_step": 0,
                    "x_weight_step": 0,
                    "shift0": 7,
                    "is_signed": 0,
                    "tail": 2,
                }
            ],
            table_c=[(0, c, 1) for c in range(8)],
            table_y=[(0, 16 * y, 1) for y in range(2)],
            table_x=[(0, 8 * x, 1) for x in range(2)],
            weights=weight_words(dense_weight, params.lanes),
            update_pass=[{"acc": 0, "block": 0, "first": 1, "last": 1, "clear": 1}],
            requant={
                name: per_lane(getattr(dense, name), 4) for name in ("bias", "multiplier", "shift")
            },
            fire=[{"block": 0, "y": 0, "x": 0, "start": 0, "count": 1}],
            destinations=[(TO_HOST, 0), ((0, 1, 1, 1), 0)],
            end_list=(0, 1),
            credit_list=(1, 1),
        )
    )
    program = Program(
        name="conv_chain",
        params=params,
        columns=2,
        rows=2,
        cores=tuple(cores),
        layers=(layer_info(conv, 10 * 10 * 2 * 8), layer_info(dense, dense_weight.size)),
        input=source,
        input_routes=(InputRoute((0, 3), (0, 3), (0, 1, 1, 1), 0),),
        input_end=((0, 1, 1, 1),),
        input_credits=2,
        output="dense",
        output_ends=1,
        output_cores=((0, 2),),
    )
    scales = {INPUT: 1.0, "conv": 1.0, "dense": 1.0}
    return program, Network("conv_chain", source, (conv, dense), scales)
