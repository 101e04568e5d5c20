# SPDX-License-Identifier: Apache-2.0
"""Tables of the codec, and samples as bytes."""

from dataclasses import replace

import numpy as np
import pytest

from stemcore.golden.program.program import InputRoute
from stemcore.golden.spec.codec import CodecFormats, CodecMemory, CodecParams, CodecRegister
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.host_registers import codec_of_word, codec_word
from stemcore.runtime.host.codec_protocol import AHEAD, CodecProtocol
from stemcore.runtime.host.codec_tables import (
    CodecMisfitError,
    codec_tables,
    decode_sample,
    encode_sample,
)
from stemcore.runtime.host.flits import HOST_RECTANGLE, Host
from tests.support.chip_programs import four_core_case

_, PROGRAM, IMAGES = four_core_case(0)
CODEC = CodecParams(n_values=512, n_outputs=64)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"n_values": 8}, r"room for 8 values of a sample, \d+ are needed"),
        ({"n_outputs": 8}, r"room for 8 values of a sample that comes out, \d+ are needed"),
    ],
)
def test_what_does_not_fit_is_named(sizes, text):
    population = replace(PROGRAM.layers[-1].population, shape=(9, 1, 1))
    layers = (*PROGRAM.layers[:-1], replace(PROGRAM.layers[-1], population=population))
    with pytest.raises(CodecMisfitError, match=text):
        codec_tables(replace(PROGRAM, layers=layers), replace(CODEC, **sizes))


def test_too_many_routes_are_named():
    with pytest.raises(CodecMisfitError, match=r"room for 2 boxes of values of routes, 3 are"):
        codec_tables(
            replace(PROGRAM, input_routes=PROGRAM.input_routes[:1] * 3), replace(CODEC, n_routes=2)
        )


def masked(sent):
    """The route of all rows and columns that sends these neurons."""
    _, height, width = sent.shape
    mask = np.packbits(sent).tobytes()
    return InputRoute((0, height - 1), (0, width - 1), (0, 1, 0, 1), 0, 0, mask)


def test_a_route_that_is_no_box_is_several(rng):
    """Their values are those that the route sends, each in one box."""
    for share in (0.1, 0.5, 0.9):
        sent = rng.random(PROGRAM.input.shape) < share
        sent[0, 0, 0], sent[-1, -1, -1] = True, False
        routes = PROGRAM.input_routes[:1], (masked(sent),)
        program = replace(PROGRAM, input_routes=sum(routes, ()))
        tables = codec_tables(program, replace(CODEC, n_routes=256))
        layout = CodecFormats(PROGRAM.params, CODEC).route
        words = [
            layout.unpack(sum(int(chunk) << 32 * n for n, chunk in enumerate(chunks)))
            for chunks in tables.memories[CodecMemory.ROUTE]
        ]
        _, height, width = sent.shape
        found = np.zeros(sent.size, int)
        for word in words[1:]:
            place = word["base"]
            for c in range(word["c0"], word["c1"] + 1):
                for y in range(word["y0"], word["y1"] + 1):
                    for x in range(word["x0"], word["x1"] + 1):
                        assert place == (c * height + y) * width + x
                        found[place] += 1
                        place += 1
                    place += word["next_row"] - 1
                place += word["next_channel"] - word["next_row"]
        assert np.array_equal(found.reshape(sent.shape), sent)
        register = CodecFormats(PROGRAM.params, replace(CODEC, n_routes=256)).registers
        control = int(tables.memories[CodecMemory.CONTROL][CodecRegister.SAMPLE, 0])
        assert register[CodecRegister.SAMPLE].unpack(control)["routes"] == len(words)


def test_too_many_boxes_are_named():
    sent = np.indices(PROGRAM.input.shape).sum(axis=0) % 2 == 0
    with pytest.raises(CodecMisfitError, match=r"room for 2 boxes of values of routes, \d+ are"):
        codec_tables(replace(PROGRAM, input_routes=(masked(sent),)), replace(CODEC, n_routes=2))


def test_a_program_that_is_sent_nothing_is_named():
    nothing = masked(np.zeros(PROGRAM.input.shape, bool))
    with pytest.raises(CodecMisfitError, match="needs a route, an END and a CREDIT at least"):
        codec_tables(replace(PROGRAM, input_routes=(nothing,)), CODEC)


def test_a_box_inside_a_mask_is_what_it_sends():
    channels, height, width = PROGRAM.input.shape
    sent = np.zeros((channels, height, width), bool)
    sent[-1, 1:3, 2:3] = True
    route = InputRoute(
        (0, height - 1), (0, width - 1), (1, 1, 1, 2), 3, 0, np.packbits(sent).tobytes()
    )
    tables = codec_tables(replace(PROGRAM, input_routes=(route,)), CODEC)
    (chunks,) = tables.memories[CodecMemory.ROUTE]
    word = sum(int(chunk) << 32 * n for n, chunk in enumerate(chunks))
    fields = CodecFormats(PROGRAM.params, CODEC).route.unpack(word)
    assert fields == {
        "node_x0": 1,
        "node_y0": 1,
        "node_x1": 1,
        "node_y1": 2,
        "axon": 3,
        "bits": PROGRAM.input.bits,
        "c0": channels - 1,
        "c1": channels - 1,
        "y0": 1,
        "y1": 2,
        "x0": 2,
        "x1": 2,
        "base": ((channels - 1) * height + 1) * width + 2,
        "next_row": width,
        "next_channel": 0,
    }


def test_samples_are_bytes_the_first_lowest():
    tables = codec_tables(PROGRAM, CODEC)
    image = np.zeros(PROGRAM.input.shape, np.int64)
    low, high = PROGRAM.input.limits
    image.reshape(-1)[[0, 1, 9]] = low, high, 1
    header, first, second, *rest = encode_sample(PROGRAM, tables, image).tolist()
    assert Formats(PROGRAM.params).flit.unpack(header)["kind"] == Kind.END
    assert (first, second) == ((low & 0xFF) | high << 8, 1 << 8) and not any(rest)
    with pytest.raises(ValueError, match=r"^images: values must lie in"):
        encode_sample(PROGRAM, tables, np.full_like(image, high + 1))


def test_bytes_that_come_out_are_values():
    population = PROGRAM.output_populations[0]
    low, high = population.limits
    values = np.linspace(low, high, int(np.prod(population.shape))).astype(np.int64)
    coded = values & ((1 << population.bits) - 1)
    padded = np.zeros(-(-len(coded) // 8) * 8, np.uint8)
    padded[: len(coded)] = coded
    got = decode_sample(PROGRAM, padded.view("<u8").astype(np.uint64))
    assert np.array_equal(got, values)


def test_the_host_does_not_run_ahead_without_limit():
    tables = codec_tables(PROGRAM, CODEC)
    images = np.repeat(IMAGES[:1], 3 * AHEAD, axis=0)
    protocol = CodecProtocol(PROGRAM, images, tables)
    words = []
    while (word := protocol.offer()) is not None:
        words.append(word)
        protocol.taken()
    assert words.count(tables.header) >= AHEAD
    n_sample = tables.bytes_per_image[0] // 8
    started = sum(len(Host(PROGRAM).start(core)) for core in PROGRAM.cores)
    assert len(words) == started + len(PROGRAM.output_cores) + AHEAD * n_sample
    for word in [tables.header, *[0] * tables.words_out]:
        protocol.receive(word)
    assert protocol.samples_done == 1 and protocol.offer() == tables.header
    spike = Host(PROGRAM).flit(Kind.SPIKE, HOST_RECTANGLE)
    with pytest.raises(ValueError, match="the codec must keep SPIKE to itself"):
        protocol.receive(spike)


def test_sizes_go_into_a_register_and_back():
    assert codec_of_word(codec_word(CODEC)) == CODEC and codec_of_word(codec_word(None)) is None
    with pytest.raises(
        ValueError, match=r"^CodecParams.n_routes: must be a power of two in 2..256"
    ):
        replace(CODEC, n_routes=3)
