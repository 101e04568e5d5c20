# SPDX-License-Identifier: Apache-2.0
"""The reference pages that are made from the code: they can be made, and say all there is."""

import importlib
import re
from pathlib import Path

import pytest

from stemcore.golden.spec.block_ram import node_blocks, node_memories
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.host_registers import FIRST_PARAM, HOST_REGISTERS
from stemcore.golden.spec.host_window import WINDOW_REGISTERS
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import PRESETS
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.uart_frames import ACCESS, ANSWER, HEADER, FrameKind
from stemcore.runtime.commands.registry import commands

HOOKS = Path(__file__).resolve().parents[2] / "docs" / "hooks"


@pytest.fixture
def page(monkeypatch):
    """Text of a page by the name of the hook's file and function."""
    monkeypatch.syspath_prepend(HOOKS)
    return lambda module, function: getattr(importlib.import_module(module), function)()


def test_memory_images_show_every_field_memory_register_and_kind(page):
    text = page("reference_hardware", "memory_images")
    for member in (*Memory, *Control, *Kind):
        assert f"`{member.name}`" in text
    layouts = [
        name
        for name in vars(Formats)
        if isinstance(vars(Formats)[name], property)
        and name not in ("payload_width", "n_registers")
    ]
    assert set(layouts) <= set(re.findall(r"^### (\w+)$", text, re.MULTILINE))


def test_presets_show_every_preset_and_a_meaning_of_every_size(page):
    text = page("reference_hardware", "presets")
    head = next(line for line in text.splitlines() if line.startswith("| field | `"))
    assert re.findall(r"`(\w+)`", head) == list(PRESETS)
    meanings = text.split("## Fields")[1]
    for name in ChipParams().to_dict():
        assert re.search(rf"^\| `{name}` \| \S", meanings, re.MULTILINE), name


def test_presets_show_what_block_memories_hold_nothing(page):
    text = page("reference_hardware", "presets")
    found = dict(re.findall(r"^### (\w+): (\d+) blocks$", text, re.MULTILINE))
    kria = sum(m.blocks() for m in node_memories(PRESETS["kria"]) if m.name != "dendrite.weights")
    assert found.keys() == {"ecp5", "ecp5_32", "tiny_fpga", "artix", "kria"}
    assert int(found.pop("kria")) == kria
    assert {name: int(n) for name, n in found.items()} == {
        name: node_blocks(PRESETS[name]) for name in found
    }
    # 512 words of 384 bits in 11 blocks of 512 words of 36 bits: 12 bits of a word are unused.
    assert "| `dendrite.loop` | 512 | 384 | 11 | 0 | 3% |" in text.split("### ecp5:")[1]


def test_host_registers_show_every_register_and_field(page):
    text = page("reference_registers", "host_registers")
    for register in HOST_REGISTERS.values():
        assert f"| `{register.offset:#05x}` |" in text
        if register.number < FIRST_PARAM:
            section = text.split(f"### {register.name}\n")[1].split("\n#")[0]
            for name, low, width in register.layout:
                bits = f"{low + width - 1}..{low}" if width > 1 else low
                assert f"| {bits} | `{name}` |" in section
        else:
            assert f"| `{register.name}` |" in text
    for name, register in WINDOW_REGISTERS.items():
        assert f"| `{register.offset:#05x}` | `{name}` | {register.access.name} |" in text


def test_uart_frames_show_every_field_and_kind(page):
    text = page("reference_uart", "uart_frames")
    for fields in (HEADER, ACCESS, ANSWER):
        for name, low, width in fields:
            assert f"| {low + width - 1}..{low} | `{name}` |" in text or width == 1, name
    for kind in FrameKind:
        assert f"| {kind.value} | `{kind.name}` |" in text


def test_command_line_shows_every_command_and_option(page):
    text = page("reference_commands", "command_line")
    assert re.findall(r"^### stemcore (\w+)$", text, re.MULTILINE) == list(commands())
    for option in ("--model", "--images", "--preset", "--waves"):
        assert f"| `{option}` |" in text


def test_report_shows_every_object_of_the_definition(page):
    text = page("reference_report", "report")
    links = set(re.findall(r"\]\(#(\w+)\)", text))
    headings = {name.lower() for name in re.findall(r"^## (\w+)$", text, re.MULTILINE)}
    assert links
    assert links <= headings
