# SPDX-License-Identifier: Apache-2.0
"""``stemcore sweep``: one network with many settings."""

import argparse
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from .cluster_options import add_cluster_option
from .registry import RUN
from .source_options import add_source_options, at_least_one, source_settings

if TYPE_CHECKING:
    from ..settings import Settings
    from ..sweep.axes import Choice

NAME = "sweep"
GROUP = RUN
HELP = "measure a network with many settings: accuracy, SOPs, cycles, energy of each"
EXAMPLES = (
    "stemcore sweep --model digits_cnn --bits 2..8 --tables none,rd20",
    "stemcore sweep --model tiny_vgg --bits '8;8,fc=4' --preset sim32,darwin3 --cluster local",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..sweep.axes import AXES

    parser.add_argument(
        "--images",
        type=at_least_one,
        default=200,
        help="test images that all figures rest on (default: %(default)s)",
    )
    add_cluster_option(parser)
    add_source_options(parser)
    for action in parser._actions:
        if action.dest in AXES:  # each value is checked as the option's one value is
            action.type, action.choices = None, None
            action.help = f"{action.help}; one or several"


def run(arguments: argparse.Namespace) -> int:
    from .progress import Display

    with Display() as display:
        display.say("load         the compiler and its libraries")
        from ..sweep.sweep import sweep
        from ..sweep.tables import screen

        base, settings = settings_of(arguments)
        points, folder = sweep(
            base,
            settings,
            n_images=arguments.images,
            cluster=arguments.cluster,
            say=display.say,
            progress=partial(display.count, stage="sweep", what="points"),
        )
    print(f"\n{screen(points)}\n")
    print(f"sweep        {folder / 'sweep.json'}\npage         {folder / 'sweep.html'}")
    return 0


def settings_of(
    arguments: argparse.Namespace,
) -> "tuple[Settings, list[tuple[Choice, Settings]]]":
    """What all points share, and every point's settings; ``ValueError`` where a value is none."""
    from ..sweep.axes import AXES, combinations, parse_values

    usual = vars(_parser().parse_args([]))
    asked = {
        name: parse_values(getattr(arguments, name), f"--{name.replace('_', '-')}")
        for name in AXES
        if getattr(arguments, name) != usual[name]
    }
    shared = {name: getattr(arguments, name) for name in usual if name not in AXES}
    fixed = {name: some[0] for name, some in asked.items() if len(some) == 1}
    several = {name: some for name, some in asked.items() if len(some) > 1}
    points = [
        (choice, source_settings(_parsed(fixed | dict(choice), shared)))
        for choice in combinations(several)
    ]
    return source_settings(_parsed(fixed, shared)), points


def _parsed(options: dict[str, str], shared: dict[str, object]) -> argparse.Namespace:
    """One point's options, as ``stemcore sim`` would take them."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    found = _parser().parse_args(words)
    vars(found).update(shared)
    return found


class _Refusing(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"sweep: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Refusing(add_help=False)
    add_source_options(parser)
    return parser
