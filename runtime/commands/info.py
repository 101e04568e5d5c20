# SPDX-License-Identifier: Apache-2.0
"""``stemcore info``: what is installed, and what it finds on this machine."""

import argparse
import json

from .registry import LOOK

NAME = "info"
GROUP = LOOK
HELP = "show versions, programs, folders, presets, data sets and networks as they are found here"
EXAMPLES = ("stemcore info", "stemcore info --json", "stemcore info --clear-cache")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument(
        "--clear-cache",
        action="store_true",
        help="remove compiled nodes and tools instead; they are made again when they are needed",
    )


def run(arguments: argparse.Namespace) -> int:
    from stemcore.folders import cache

    from ..inventory import clear_cache, inventory

    if arguments.clear_cache:
        print(f"removed      {clear_cache() / 1e6:.0f} MB in {cache()}")
        return 0
    sections = inventory()
    if arguments.json:
        print(json.dumps({title: dict(rows) for title, rows in sections.items()}, indent=2))
        return 0
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    for title, rows in sections.items():
        print(f"\n{title}")
        for name, text in rows:
            print(f"  {name:<{width}}  {text}".rstrip())
    return 0
