# SPDX-License-Identifier: Apache-2.0
"""Images per second of a network on a board: chip, link, loads where cores take turns."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from stemcore.compiler.activity import Activity
from stemcore.compiler.virtual.chip import VirtualChip, virtual_chip
from stemcore.compiler.virtual.parts import load_words
from stemcore.compiler.virtual.times import estimate_virtual
from stemcore.golden.program.program import Program
from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.uart_frames import FLIT_BYTES, MAX_FLITS, Frame, FrameKind
from stemcore.hdl.boards.board import HOST_MHZ

from ..host.codec_tables import CodecMisfitError, codec_tables

BIT_TIMES = 10  # of a byte on the line, with start and stop bit
BUS_HZ = 100e6  # of the DMA beside a processor system, a flit a cycle


@dataclass(frozen=True)
class Rates:
    """Seconds of a network on a board; see :func:`estimate_rates`.

    groups : of cores that take turns; 1: all are there
    batch : images for which a group is loaded once
    load_s : link and chip, for all groups, once a batch
    compute_s : the chip, per image
    transfer_s : the link, per image
    images_per_s : with what is slower of chip and link, and with the share of a load
    images_per_s_chip : with a link that takes no time, and nothing loaded
    bytes_in, bytes_out : of flits or of a codec's samples, per image, of all groups
    groups_as_bytes : groups whose samples go through a spike codec
    """

    groups: int
    batch: int
    load_s: float
    compute_s: float
    transfer_s: float
    images_per_s: float
    images_per_s_chip: float
    bytes_in: float
    bytes_out: float
    groups_as_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def line_seconds(n_words: float, baud: float) -> float:
    """Seconds that words of 8 bytes, or flits, take on the serial line, in full frames, without
    escaped bytes."""
    per_frame = len(Frame(FrameKind.FLITS, 0, bytes(MAX_FLITS * FLIT_BYTES)).to_bytes())
    overhead = per_frame - MAX_FLITS * FLIT_BYTES
    return (n_words * FLIT_BYTES + math.ceil(n_words / MAX_FLITS) * overhead) * BIT_TIMES / baud


def estimate_rates(
    program: Program,
    activity: Activity | None,
    *,
    n_nodes: int,
    clock_mhz: float,
    link_seconds: Callable[[float], float],
    host_mhz: float = HOST_MHZ,
    codec: CodecParams | None = None,
) -> tuple[Rates, VirtualChip]:
    """Images per second at a clock of the chip.

    link_seconds : seconds that so many words of 8 bytes take between host and chip, one way
    host_mhz : clock of the host side, which makes a flit of a burst in each cycle
    codec : sizes of the spike codec, where there is one; it is taken to be no slower than the link

    The link works in both directions at once, and while the chip computes; so a group of cores
    takes as long as the slowest of chip, flits to it and flits from it.
    """
    chip = virtual_chip(program, n_nodes, activity)
    times = estimate_virtual(chip, activity)
    hz = clock_mhz * 1e6
    load = sum(
        max(
            link_seconds(load_words(part.program)),
            group.load / hz,
            group.load / (host_mhz * 1e6),
        )
        for part, group in zip(chip.parts, times.groups, strict=True)
    )
    compute = sum(group.interval / hz for group in times.groups)
    words = [
        _words(part.program, codec) or (group.flits_in, group.flits_out)
        for part, group in zip(chip.parts, times.groups, strict=True)
    ]
    lines = [max(map(link_seconds, both)) for both in words]
    image = sum(max(g.interval / hz, line) for g, line in zip(times.groups, lines, strict=True))
    per_image = image + (load / chip.batch if len(chip.parts) > 1 else 0.0)
    rates = Rates(
        groups=len(chip.parts),
        batch=chip.batch,
        load_s=load,
        compute_s=compute,
        transfer_s=sum(lines),
        images_per_s=1 / per_image,
        images_per_s_chip=1 / compute,
        bytes_in=FLIT_BYTES * sum(into for into, _ in words),
        bytes_out=FLIT_BYTES * sum(out for _, out in words),
        groups_as_bytes=sum(_words(part.program, codec) is not None for part in chip.parts),
    )
    return rates, chip


def _words(program: Program, codec: CodecParams | None) -> tuple[float, float] | None:
    """Words of an image on the link, in and out; None where it goes as flits."""
    if codec is None:
        return None
    try:
        into, out = codec_tables(program, codec).bytes_per_image
    except CodecMisfitError:
        return None
    return into / FLIT_BYTES, out / FLIT_BYTES
