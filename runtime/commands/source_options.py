# SPDX-License-Identifier: Apache-2.0
"""Options that say which network runs on which chip, shared by the commands that compile one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..settings import Settings

DEFAULT_MODEL = "tiny_vgg"


def switch(text: str) -> bool:
    """The value of an option that is on or off."""
    if text not in ("0", "1"):
        raise argparse.ArgumentTypeError(f"must be 1 or 0, or have no value, got {text!r}")
    return text == "1"


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Options for :func:`source_settings`."""
    from stemcore.compiler.lowering.integrate import modes
    from stemcore.compiler.quantization.bias import BIAS_FORMATS
    from stemcore.compiler.quantization.quantized import PROFILES
    from stemcore.compiler.sparsity.tables import NAMED
    from stemcore.golden.spec.presets import PRESETS

    network = parser.add_argument_group("the network")
    network.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="a registered name, file.py:function, or a file .pt2 or .onnx (default: %(default)s)",
    )
    network.add_argument(
        "--dataset",
        default="",
        metavar="NAME|FOLDER|FILE",
        help="a registered name, a folder, or a file of arrays .npz (default: the model's own)",
    )
    network.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of the data set (default: $STEMCORE_DATA, else ./data)",
    )
    network.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="weights, safetensors (default: those that come with the model)",
    )
    network.add_argument(
        "--input",
        default="",
        metavar="WORDS",
        help="what a byte of an image means to the network: unit (0..1), signed ((byte - 128) / "
        "128), u8 (0..255), LOW..HIGH (as in --input=-1..1), MEAN,STD (all means before all "
        "deviations), or auto, which tries the usual ones on labelled images (default: what the "
        "model states)",
    )
    network.add_argument(
        "--outputs",
        type=_as_outputs,
        metavar="classes|values",
        help="what the output's numbers are: scores of classes, which may be clipped where that "
        "keeps more of the largest ones apart, or values, which are not; of several outputs "
        "NAME=classes,NAME=values (default: classes where the network's end or the data set says "
        "so)",
    )
    numbers = parser.add_argument_group("its numbers")
    numbers.add_argument(
        "--profile",
        default="exact",
        choices=PROFILES,
        help="which scales there are: powers of two, multipliers, or the paper's (default: exact)",
    )
    numbers.add_argument(
        "--bits",
        default="8",
        metavar="N[,LAYER=N..]",
        help="bits of the activations, 2 to 8, and so the time steps T; layers may have their own, "
        "as in 8,fc=4 (default: %(default)s)",
    )
    numbers.add_argument(
        "--weight-bits",
        default="8",
        metavar="N[,LAYER=N..]",
        help="bits of the weights, 2 to 8, likewise (default: %(default)s)",
    )
    numbers.add_argument(
        "--calibration",
        default="",
        metavar="METHOD",
        help="how scales of activations follow from training images: max, mse, percentile or "
        "percentile:P (default: mse, of the paper's profile max)",
    )
    numbers.add_argument(
        "--bias",
        choices=BIAS_FORMATS,
        help="format of the biases (default: int32, of the paper's profile output)",
    )
    numbers.add_argument(
        "--tables",
        default="none",
        help=f"activation tables: none, {NAMED}, or a JSON file (default: %(default)s)",
    )
    numbers.add_argument(
        "--integration",
        choices=tuple(modes()),
        help="how potentials are summed (default: the preset's, mostly exact)",
    )
    chip = parser.add_argument_group("the chip")
    chip.add_argument(
        "--preset", choices=sorted(PRESETS), help="sizes (default: the model's, mostly sim32)"
    )
    chip.add_argument(
        "--cores", type=at_least_one, help="cores to use at most (default: as many as pay)"
    )
    chip.add_argument(
        "--mesh",
        type=_mesh,
        metavar="COLUMNSxROWS",
        help="nodes, such as 6x6 (default: the smallest that holds the network)",
    )
    chip.add_argument(
        "--skip-buffers",
        default="",
        choices=("all", "none"),
        help="whether connections that skip layers pass cores that hold a copy for each of them: "
        "without, a network takes fewer cores, and images follow each other later (default: all; "
        "of a network of your own that does not fit with them, none)",
    )


def add_cores_on_chip(parser: argparse.ArgumentParser) -> None:
    """The option of commands that run or estimate a program."""
    parser.add_argument(
        "--cores-on-chip",
        type=at_least_one,
        metavar="N",
        help="cores of a chip with fewer than the network needs: they take turns, and the host "
        "keeps the spikes between them (default: all are there)",
    )


def source_settings(arguments: argparse.Namespace) -> "Settings":
    """What the options say, checked; ``ValueError`` where a name is unknown."""
    from stemcore.compiler.quantization.calibration import parse_method
    from stemcore.compiler.quantization.layer_bits import parse_bits
    from stemcore.models.data import check_folder

    from ..settings import Settings

    parse_method(arguments.calibration, arguments.profile)
    settings = Settings(
        model=arguments.model,
        dataset=arguments.dataset,
        data=arguments.data,
        preset=arguments.preset,
        cores=arguments.cores,
        mesh=arguments.mesh,
        profile=arguments.profile,
        bias=arguments.bias,
        bits=parse_bits(arguments.bits, "bits"),
        weight_bits=parse_bits(arguments.weight_bits, "weight-bits"),
        calibration=arguments.calibration,
        tables=arguments.tables,
        integration=arguments.integration,
        checkpoint=arguments.checkpoint,
        input=arguments.input,
        outputs=arguments.outputs or "",
        skip_buffers=arguments.skip_buffers,
    )
    check_folder(arguments.dataset or settings.dataset, arguments.data)
    return settings


def refuse_placement(settings: "Settings", who: str) -> None:
    """``ValueError`` where cores or a mesh are asked for, and ``who`` places nothing on them."""
    for name in ("cores", "mesh"):
        if getattr(settings, name) is not None:
            raise ValueError(
                f"{name}: {who} places nothing on cores, so the option would change nothing; leave "
                "it out, or run 'stemcore sim' with an engine that has a chip"
            )


def at_least_one(text: str) -> int:
    """A number of 1 or more, as argparse wants it."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text!r}")
    return int(text)


def _mesh(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be columns x rows such as 6x6, got {text!r}")
    return int(columns), int(rows)


def _as_outputs(text: str) -> str:
    from stemcore.compiler.quantization.outputs import check_choice

    try:
        return check_choice(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
