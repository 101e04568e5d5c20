# SPDX-License-Identifier: Apache-2.0
"""``stemcore train``: weights of a registered model."""

import argparse
from pathlib import Path

from .registry import DEVELOP
from .source_options import DEFAULT_MODEL, at_least_one

NAME = "train"
GROUP = DEVELOP
BITS = 8  # of the activations that a table is made for
HELP = "train a registered model and write its weight file; goes on where it was interrupted"
EXAMPLES = (
    "stemcore train --model digits_cnn",
    "stemcore train --model tiny_vgg --dataset cifar10 --epochs 5 --out mine.safetensors",
    "stemcore train --model digits_cnn --start mine.safetensors --rate 0.01 --spike-penalty 0.2",
    "stemcore train --model digits_cnn --start mine.safetensors --rate 0.01 --tables rd80",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help="registered name (default: %(default)s)"
    )
    parser.add_argument(
        "--dataset", metavar="NAME|FOLDER", help="a name or a folder (default: the model's own)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of the data set (default: $STEMCORE_DATA, else ./data)",
    )
    parser.add_argument(
        "--epochs", type=at_least_one, help="one cycle of that many (default: as the recipe says)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="highest learning rate, a low one for --start (default: as the recipe says)",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--spike-penalty",
        type=float,
        default=0.0,
        metavar="P",
        help="loss for each expected synaptic operation per multiply-accumulate "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--tables",
        metavar="NAME",
        help="activation table to learn under, of 8 bits: rd80, say (default: none)",
    )
    parser.add_argument(
        "--teacher",
        metavar="FILE",
        type=Path,
        help="weight file of a network whose answers are learned instead of labels (default: none)",
    )
    parser.add_argument(
        "--mixup",
        type=float,
        metavar="A",
        help="mix images in pairs, with shares of Beta(A, A) (default: as the recipe says)",
    )
    parser.add_argument(
        "--device", default="cpu", help="where torch computes: cuda, say (default: %(default)s)"
    )
    parser.add_argument("--threads", type=at_least_one, help="processor threads (default: torch's)")
    parser.add_argument(
        "--start", metavar="FILE", type=Path, help="weight file to begin with (default: random)"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="weight file to write (default: ./checkpoints/MODEL-DATASET.safetensors, found there)",
    )


def run(arguments: argparse.Namespace) -> int:
    from stemcore.compiler.sparsity.tables import NONE, named_table
    from stemcore.models.simulated_tables import TrainingTable
    from stemcore.models.train import train_and_publish

    options = vars(arguments).copy()
    name = options.pop("tables")
    if name not in (None, NONE):
        entries = named_table(name, BITS, is_signed=False, where="tables")
        options["table"] = TrainingTable(name, tuple(entries.tolist()))
    train_and_publish(options.pop("model"), options.pop("dataset"), **options)
    return 0
