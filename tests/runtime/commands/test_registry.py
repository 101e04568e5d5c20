# SPDX-License-Identifier: Apache-2.0
"""Every command keeps to the interface, and answers ``--help`` without loading what it runs."""

import subprocess
import sys

import pytest

from stemcore.runtime.commands.main import main
from stemcore.runtime.commands.registry import GROUPS, commands

HEAVY = ("torch", "amaranth", "sklearn", "scipy")
SEEN = "import sys; from stemcore.runtime.commands.main import main\n"


def test_commands_are_found_in_the_order_of_their_groups():
    names = list(commands())
    assert {"sim", "check", "verilog", "sparsify", "train", "synth", "tables", "bench"} <= {*names}
    places = [GROUPS.index(command.GROUP) for command in commands().values()]
    assert places == sorted(places)


@pytest.mark.parametrize("name", commands())
def test_command_describes_itself(name, capsys):
    command = commands()[name]
    assert command.EXAMPLES
    assert all(line.split()[:2] == ["stemcore", name] for line in command.EXAMPLES)
    with pytest.raises(SystemExit, match=r"^0$"):
        main([name, "--help"])
    text = capsys.readouterr().out
    assert command.HELP[1:] in text
    assert command.EXAMPLES[0] in text


@pytest.mark.parametrize("words", [[], *([name] for name in commands())])
def test_help_loads_nothing_heavy(words):
    script = (
        f"{SEEN}try: main({[*words, '--help']!r})\nexcept SystemExit: pass\n"
        f"loaded = sys.modules.keys() & {set(HEAVY)!r}\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_overview_lists_every_command_under_its_group(capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["--help"])
    text = capsys.readouterr().out
    for command in commands().values():
        group, line = f"\n{command.GROUP}:\n", f"\n  {command.NAME:<10} {command.HELP}\n"
        assert text.index(group) < text.index(line)
