# SPDX-License-Identifier: Apache-2.0
"""``--codec``: whether a spike codec lies beside the port, and how large it is."""

import argparse

from stemcore.golden.spec.codec import CodecParams


def add_codec_option(parser: argparse.ArgumentParser) -> None:
    """Its value is a :class:`CodecParams`, or None."""
    most = CodecParams().n_values
    parser.add_argument(
        "--codec",
        nargs="?",
        type=_codec,
        const=CodecParams(),
        default=None,
        metavar="0|1|VALUES",
        help="a spike encoder and decoder beside the port: images and outputs are bytes on the "
        f"line; 1: for {most:,} values in and as many out, VALUES: for so many, a power of two "
        "(default: no)",
    )


def _codec(text: str) -> CodecParams | None:
    if text in ("0", "1"):
        return CodecParams() if text == "1" else None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be 0, 1 or a number of values, got {text!r}")
    try:
        return CodecParams(n_values=int(text), n_outputs=int(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from None
