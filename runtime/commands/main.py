# SPDX-License-Identifier: Apache-2.0
"""The console script ``stemcore``: chooses a command, and turns how it ends into an exit status."""

import argparse
import importlib.metadata
import re
import sys
from pathlib import Path
from typing import NoReturn

from stemcore.nearest import did_you_mean

from .endings import stops_in_time, translate
from .registry import GROUPS, Command, commands

PROGRAM = "stemcore"
_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)$")  # in argparse's words


class _Parser(argparse.ArgumentParser):
    """Refuses a word with the nearest one that would do; argparse only lists them all."""

    def __init__(self, **options: object) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # what a script writes must not change meaning with a new option
            **options,  # type: ignore[arg-type]
        )

    def error(self, message: str) -> NoReturn:
        what, _, words = message.partition(": ")
        if what == "unrecognized arguments":
            options = [name for action in self._actions for name in action.option_strings]
            message += did_you_mean(words.split(), options)
        elif choice := _CHOICE.search(message):
            message += did_you_mean(choice[1], re.findall(r"'([^']*)'", choice[2]))
        super().error(message)


def _front_parser() -> argparse.ArgumentParser:
    """What may stand before a command."""
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [--help] [--version] COMMAND [options]",
        description="Quantized neural networks run bit for bit by spiking neurons on a mesh of "
        "cores.",
        epilog=_overview(),
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version()}")
    return parser


def _command_parser(command: Command) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"{PROGRAM} {command.NAME}",
        usage=f"{PROGRAM} {command.NAME} [options]",
        description=command.HELP[0].upper() + command.HELP[1:] + ".",
        epilog="\n".join(["examples:", *(f"  {line}" for line in command.EXAMPLES)]),
    )
    command.add_arguments(parser)
    return parser


def _overview() -> str:
    lines = []
    for group in GROUPS:
        lines += [f"{group}:"]
        lines += [f"  {c.NAME:<10} {c.HELP}" for c in commands().values() if group == c.GROUP]
        lines += [""]
    return "\n".join(
        [
            *lines,
            f"'{PROGRAM} COMMAND --help' has the options of a command, with examples.",
            "",
            "Results go to ./sim_build. Exit status: 0 right, 1 something compared differs,",
            "2 the input or the machine must be mended, 70 a bug of ours, 130 interrupted.",
        ]
    )


def version() -> str:
    """Of the installed package."""
    return importlib.metadata.version(PROGRAM)


def _parse(words: list[str]) -> tuple[Command, argparse.Namespace]:
    """The command and its options; ``SystemExit`` after help or words that cannot be used."""
    front = _front_parser()
    place = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
    front.parse_args(words[:place])
    if place == len(words):
        front.error("a COMMAND is required; --help lists them")
    name = words[place]
    if name not in commands():
        front.error(
            f"COMMAND: must be one of {', '.join(commands())}, got {name!r}"
            + did_you_mean(name, commands())
        )
    command = commands()[name]
    return command, _command_parser(command).parse_args(words[place + 1 :])


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise ValueError(
            f"working folder: must be there, got: {error.strerror}; change to another"
        ) from error


def main(words: list[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    0 right; 1 something that was compared differs; 2 input or machine must be mended by the user;
    70 our own fault; 130 interrupted. Words that make no command leave through ``SystemExit`` with
    status 2, as argparse does.
    """
    words = sys.argv[1:] if words is None else words
    with stops_in_time():
        try:
            _check_working_folder()
            command, arguments = _parse(words)
            return command.run(arguments)
        except (Exception, KeyboardInterrupt) as error:
            return translate(error, words)
