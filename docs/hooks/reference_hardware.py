# SPDX-License-Identifier: Apache-2.0
"""The pages of memory images, bit fields and presets."""

import dataclasses
import inspect
import re

from markup import markdown, table, text

from stemcore.golden.program import program_file
from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.block_ram import BLOCK_BITS, WEIGHTS, node_memories
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.neurons import MODELS
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.registers import Control

EXAMPLE_PRESET = "sim32"
# What a memory holds: words of which description.
LAYOUTS = {
    Memory.AXON: "axon",
    Memory.TABLE_C: "table_c",
    Memory.TABLE_Y: "table_y",
    Memory.TABLE_X: "table_x",
    Memory.WEIGHT: "weight",
    Memory.UPDATE: "update_pass",
    Memory.REQUANT: "requant",
    Memory.LOOKUP: "lookup",
    Memory.FIRE: "fire",
    Memory.DESTINATION: "destination",
}
# Presets of FPGAs, and the one that has weights in memories of another kind.
FPGA_PRESETS = ("ecp5", "ecp5_32", "tiny_fpga", "artix", "kria")
ULTRA_PRESET = "kria"
PACKETS = ("flit", "rectangle", "spike", "pointer")
REGISTERS = ("mode", "token_list", "command", "flags", "errors", "status", "range", "integration")
REPEATED = ("weight", "requant")  # one field for each lane: the first and the last are enough


def _fields(layout: BitFields) -> str:
    fields = list(layout)
    if layout.name in REPEATED and len(fields) > 2:
        fields = [fields[0], fields[-1]]
    rows = []
    for name, low, width in fields:
        high = low + width - 1
        rows.append((f"{high}..{low}" if width > 1 else str(low), f"`{name}`", width))
    return table(("bits", "field", "width"), rows)


def _layout_section(formats: Formats, name: str) -> str:
    layout = getattr(formats, name)
    meaning = markdown(inspect.getdoc(vars(Formats)[name]))
    return f"### {name}\n\n{layout.width} bits. {meaning}\n\n{_fields(layout)}"


def _comments(kind: type) -> dict[str, str]:
    """What stands behind the members of an enumeration, as a comment or on the line before."""
    comments = {}
    for line in inspect.getsource(kind).splitlines():
        match = re.match(r"\s+(\w+) = [^#]+#\s*(.*)", line)
        if match:
            comments[match[1]] = markdown(match[2])
    return comments


def memory_images() -> str:
    """The page of memories, registers, packets and their bits."""
    params = get_preset(EXAMPLE_PRESET)
    formats = Formats(params)
    kinds, controls = _comments(Kind), _comments(Control)
    memories = [
        (
            int(memory),
            f"`{memory.name}`",
            f"[{LAYOUTS[memory]}](#{LAYOUTS[memory]})"
            if memory in LAYOUTS
            else "[registers](#registers)",
            formats.memory(memory)[1],
            formats.word_width(memory),
            formats.n_chunks(memory),
        )
        for memory in Memory
    ]
    registers = [
        (int(register), f"`{register.name}`", controls.get(register.name, ""))
        for register in Control
    ]
    parts = [
        "# Memory images and bit fields\n",
        text(
            "Written from `golden/spec`, the one place where a field is defined. Widths and depths "
            f"are those of the preset `{EXAMPLE_PRESET}`; others change widths, never the order. "
            "In Python: `Formats(get_preset(NAME))`, whose layouts pack and unpack words."
        ),
        "## A program on disk\n",
        markdown(program_file.__doc__) + "\n",
        "## Memories of a core\n",
        text(
            "A WRITE flit carries one chunk of 32 bits; wider words are written chunk by chunk, "
            "bits 0..31 first."
        ),
        table(("number", "memory", "words of", "words", "bits", "chunks"), memories),
        "## Registers\n",
        "Words of the memory `CONTROL`, 32 bits each.\n",
        table(("number", "register", "meaning"), registers),
        "## Kinds of flits\n",
        table(
            ("number", "kind", "meaning"),
            [(int(k), f"`{k.name}`", kinds.get(k.name, "")) for k in Kind],
        ),
        "## Packets\n",
        *(_layout_section(formats, name) for name in PACKETS),
        "## Memory words\n",
        *(
            _layout_section(formats, name)
            + (f"\n{_layout_section(formats, 'requant_lane')}" if name == "requant" else "")
            for name in LAYOUTS.values()
        ),
        "## Fields of registers\n",
        *(_layout_section(formats, name) for name in REGISTERS),
        *(
            f"\nAs above, with the neuron model `{model.name}`:\n\n"
            + _fields(Formats(params.with_integration(model.name)).integration)
            for model in MODELS.values()
            if model.register
        ),
    ]
    return "\n".join(parts)


# Presets ---------------------------------------------------------------------------------------
def _attributes(kind: type) -> dict[str, str]:
    """Descriptions of a class's attributes, from that section of its docstring."""
    section = (inspect.getdoc(kind) or "").partition("Attributes\n----------\n")[2]
    section = section.partition("\n\n")[0]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if not line.startswith(" "):
            names = [name.strip() for name in line.partition(":")[0].split(",")]
            found |= dict.fromkeys(names, "")
        else:
            found |= {name: f"{found[name]} {line.strip()}".strip() for name in names}
    return {name: markdown(text) for name, text in found.items()}


def presets() -> str:
    """The page of presets."""
    descriptions = _attributes(ChipParams)
    names = list(PRESETS)
    fields = [field.name for field in dataclasses.fields(ChipParams)]
    missing = [field for field in fields if field not in descriptions]
    if missing:
        raise ValueError(f"ChipParams: its docstring must describe {', '.join(missing)}")
    default = ChipParams()

    def cell(name: str, field: str) -> str:
        value = getattr(PRESETS[name], field)
        return f"**{value}**" if value != getattr(default, field) else str(value)

    return "\n".join(
        [
            "# Presets\n",
            text(
                "Sizes of a chip: one object, `ChipParams`, with named presets. Written from "
                "`golden/spec`. A network that does not fit a preset is refused with the presets "
                "that it would fit."
            ),
            "## Values\n",
            f"Bold: other than `{EXAMPLE_PRESET}`.\n",
            table(
                ("field", *(f"`{name}`" for name in names)),
                [(f"`{f}`", *(cell(name, f) for name in names)) for f in fields],
            ),
            "## Fields\n",
            table(("field", "meaning"), [(f"`{f}`", descriptions[f]) for f in fields]),
            "## Block memories\n",
            text(
                "What a node takes of an FPGA's block memories of 18 Kbit (DP16KD of ECP5, half a "
                "RAMB36 of Xilinx, BSRAM of Gowin), and what it leaves unused: words that a memory "
                "could have without another block, and the part of its blocks' bits that holds "
                "nothing. `kria` has its weights in UltraRAM, which is not counted here. Presets "
                "that are not listed are for simulation."
            ),
            *(_blocks(name) for name in FPGA_PRESETS),
        ]
    )


def _blocks(name: str) -> str:
    """Block memories of one preset, each memory in a row."""
    memories = node_memories(PRESETS[name])
    if name == ULTRA_PRESET:
        memories = tuple(m for m in memories if m.name != WEIGHTS)
    rows = [
        (
            f"`{m.name}`" + (f", {m.copies} times" if m.copies > 1 else ""),
            m.words,
            m.width,
            m.blocks(),
            m.free_words(),
            f"{1 - m.bits / (m.blocks() * BLOCK_BITS):.0%}",
        )
        for m in memories
        if m.blocks()
    ]
    total = sum(m.blocks() for m in memories)
    head = ("memory", "words", "bits", "blocks", "free words", "unused")
    return f"### {name}: {total} blocks\n\n" + table(head, rows)
