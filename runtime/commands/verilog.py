# SPDX-License-Identifier: Apache-2.0
"""``stemcore verilog``: a model's chip for other tools."""

import argparse

from .codec_option import add_codec_option
from .registry import RUN
from .source_options import add_source_options, source_settings, switch

NAME = "verilog"
GROUP = RUN
HELP = "write a model's chip as self-contained Verilog, with memory files and a bench"
EXAMPLES = (
    "stemcore verilog --model digits_cnn",
    "stemcore verilog --preset ecp5 --images 3",
    "stemcore verilog --model digits_cnn --uart 25",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images", type=int, default=1, help="test images of the bench (default: %(default)s)"
    )
    parser.add_argument(
        "--axi",
        type=int,
        choices=(32, 64),
        metavar="32|64",
        help="also write axi_chip.v, the chip behind AXI with streams of so many bits, and "
        "stemcore_registers.h (default: neither)",
    )
    parser.add_argument(
        "--uart",
        type=int,
        metavar="CYCLES",
        help="also write uart_chip.v, the chip on a serial line on which a bit lasts so many "
        "cycles of its clock: 25 for 1 Mbaud at 25 MHz (default: no)",
    )
    parser.add_argument(
        "--mapped",
        nargs="?",
        type=switch,
        const=True,
        default=False,
        metavar="0|1",
        help="also write mapped_chip.v, the chip behind registers in memory alone: AXI4-Lite, "
        "without streams (default: no)",
    )
    add_codec_option(parser)
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from .progress import Display

    with Display() as display:
        display.say("load         the compiler and its libraries")
        from ..host.host_sides import HostSides
        from ..write_verilog import write_verilog

        sides = HostSides(
            axi=arguments.axi,
            uart=arguments.uart,
            mapped=arguments.mapped,
            codec=arguments.codec,
        )
        folder = write_verilog(
            source_settings(arguments),
            n_images=arguments.images,
            sides=sides,
            say=display.say,
        )
    print(f"verilog      {folder}")
    return 0
