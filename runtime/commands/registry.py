# SPDX-License-Identifier: Apache-2.0
"""What a command is, and which there are: every module beside this one that defines ``NAME``."""

import argparse
import importlib
import pkgutil
from functools import cache
from typing import Protocol, cast

# Headings of `stemcore --help`, in this order.
RUN, LOOK, DEVELOP = "Run a network", "Look at results and tools", "Make and measure"
GROUPS = (RUN, LOOK, DEVELOP)


class Command(Protocol):
    """A module that is a subcommand. Importing it must stay cheap: no torch, no gateware.

    Attributes
    ----------
    NAME : str
        The word on the command line.
    GROUP : str
        One of ``GROUPS``.
    HELP : str
        One line for the list of commands, and the first of the command's own help.
    EXAMPLES : tuple of str
        Command lines shown at the end of its help, each beginning with ``stemcore``.
    """

    NAME: str
    GROUP: str
    HELP: str
    EXAMPLES: tuple[str, ...]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Options and words; may import modules of constants, so that a choice has one home."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit status: 0 right, 1 where something compared differs.

        Exceptions become the other ones, see :func:`stemcore.runtime.commands.main.main`.
        """


@cache
def commands() -> dict[str, Command]:
    """All commands by name, in the order of ``GROUPS`` and then of the alphabet."""
    package = importlib.import_module(__package__ or "")
    found = []
    for entry in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{entry.name}")
        if hasattr(module, "NAME"):
            found.append(cast(Command, module))
    found.sort(key=lambda command: (GROUPS.index(command.GROUP), command.NAME))
    return {command.NAME: command for command in found}
