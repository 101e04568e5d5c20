# SPDX-License-Identifier: Apache-2.0
"""Every command keeps to the interface, and answers ``--help`` without loading what it runs."""

import json
import re
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


@pytest.mark.medium
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


def test_info_tells_what_is_here(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("STEMCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    assert main(["info", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["networks"]["digits_cnn"] == "weights for digits"
    assert told["folders"]["results"] == str(tmp_path / "sim_build")
    assert told["folders"]["cache"].startswith(f"{tmp_path / 'cache'}, 0 MB")
    assert told["presets"].keys() >= {"sim32", "ecp5"}
    assert told["data sets"]["cifar10"] == "not found"
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    for title, rows in told.items():
        assert f"\n{title}\n" in text
        for name, said in rows.items():
            assert re.search(rf"^  {re.escape(name)} *{re.escape(said)}$", text, re.MULTILINE)


def test_cache_can_be_cleared(capsys, monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    (cache / "engines").mkdir(parents=True)
    (cache / "engines" / "node.so").write_bytes(bytes(3_000_000))
    monkeypatch.setenv("STEMCORE_CACHE", str(cache))
    assert main(["info", "--clear-cache"]) == 0
    assert capsys.readouterr().out == f"removed      3 MB in {cache}\n"
    assert not cache.exists()
    assert main(["info", "--clear-cache"]) == 0
