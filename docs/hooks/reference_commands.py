# SPDX-License-Identifier: Apache-2.0
"""The page of the command line."""

import argparse
from collections.abc import Iterator

from markup import sentence, table, text, words

from stemcore.runtime.commands.registry import GROUPS, commands


def command_line() -> str:
    """The page of the console script's subcommands."""
    parts = [
        "# Command line\n",
        text(
            "Written from the commands themselves. `make NAME VARIABLE=value` calls "
            "`stemcore NAME --variable value`; `make help` lists the variables. Exit status: 0 "
            "right, 1 something that was compared differs, 2 the input or the machine must be "
            "mended, 70 a fault of stemcore, 130 interrupted."
        ),
    ]
    for group in GROUPS:
        members = [command for command in commands().values() if command.GROUP == group]
        if members:
            parts.append(f"## {group}\n")
        for command in members:
            parser = argparse.ArgumentParser(add_help=False)
            command.add_arguments(parser)
            examples = "\n".join(command.EXAMPLES)
            parts.append(f"### stemcore {command.NAME}\n\n{sentence(command.HELP)}\n")
            parts.append(f"```sh\n{examples}\n```\n")
            parts.extend(_options(parser))
    return "\n".join(parts)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A table for each group of options, under the group's title."""
    for group in parser._action_groups:
        rows = []
        for action in group._group_actions:
            names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.dest}`"
            rows.append((names, _value(action), _help(action)))
        if rows:
            title = "" if group.title in ("options", "positional arguments") else group.title
            yield f"**{sentence(title).rstrip('.')}**\n" if title else ""
            yield table(("option", "value", "meaning"), rows)


def _value(action: argparse.Action) -> str:
    if action.choices:
        return ", ".join(f"`{choice}`" for choice in action.choices)
    return "" if action.nargs == 0 else f"`{action.metavar or action.dest.upper()}`"


def _help(action: argparse.Action) -> str:
    return words((action.help or "") % {**vars(action), "prog": "stemcore"})
