# SPDX-License-Identifier: Apache-2.0
"""``stemcore verilog``: a model's chip for other tools."""

import argparse

from .registry import RUN
from .source_options import add_source_options, source_settings

NAME = "verilog"
GROUP = RUN
HELP = "write a model's chip as self-contained Verilog, with memory files and a bench"
EXAMPLES = ("stemcore verilog --model digits_cnn", "stemcore verilog --preset ecp5 --images 3")


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
    add_source_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from .progress import Display

    with Display() as display:
        display.say("load         the compiler and its libraries")
        from ..write_verilog import write_verilog

        folder = write_verilog(
            source_settings(arguments),
            n_images=arguments.images,
            axi=arguments.axi,
            say=display.say,
        )
    print(f"verilog      {folder}")
    return 0
