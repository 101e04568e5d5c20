# SPDX-License-Identifier: Apache-2.0
"""``stemcore tables``: the counterparts of the paper's tables."""

import argparse
from pathlib import Path

from .registry import DEVELOP

NAME = "tables"
GROUP = DEVELOP
HELP = "measure the paper's tables for the networks trained here, in sim_build/tables"
EXAMPLES = (
    "stemcore tables",
    "stemcore tables --only VIII --model tiny_vgg --images 100",
    "stemcore tables --model resnet18 --checkpoint resnet18.safetensors --data imagenet/",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        action="append",
        metavar="NUMBER",
        help="I to IX, 12, 12a or 12b: this one alone, may be repeated (default: all)",
    )
    parser.add_argument(
        "--model", action="append", help="of this network alone, may be repeated (default: all)"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="weights of the one --model, safetensors: trained by 'stemcore train', or a "
        "state_dict of torchvision's resnet18, resnet34 or vgg16",
    )
    parser.add_argument(
        "--dataset", help="that the --checkpoint is measured on (default: imagenet)"
    )
    parser.add_argument("--images", type=int, help="test images at most (default: 500)")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="folder of the data sets (default: $STEMCORE_DATA, else ./data)",
    )


def run(arguments: argparse.Namespace) -> int:
    from stemcore.benchmarks.tables.subjects import IMAGES
    from stemcore.benchmarks.tables.write import write_tables

    path = write_tables(
        only=arguments.only,
        models=arguments.model,
        n_images=IMAGES if arguments.images is None else arguments.images,
        data=arguments.data,
        dataset=arguments.dataset,
        checkpoint=arguments.checkpoint,
    )
    print(f"wrote {path}")
    return 0
