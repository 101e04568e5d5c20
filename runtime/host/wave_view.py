# SPDX-License-Identifier: Apache-2.0
"""Names in the place of numbers in waves, for GTKWave and Surfer, and a saved view for GTKWave.

The words are those of the enumerations of ``stemcore.golden.spec``; the signals have the names of
the exported Verilog.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.hdl.node import LINK_NAMES

FILTERS = "waves"  # folder of GTKWave's translate filter files
MAPPINGS = ".surfer/mappings"  # where Surfer looks, below the folder that it is started in
# Flags of a trace in GTKWave's save files: bits of a number that is written in hexadecimal.
_HEX, _BINARY, _RIGHT, _TEXT, _FILTERED = 0x2, 0x8, 0x20, 0x200, 0x2000
_OPEN, _CLOSE = 0x800000 | _TEXT, 0x1000000 | _TEXT  # a group of traces


@dataclass(frozen=True)
class ValueNames:
    """What the values of a signal of ``width`` bits are called."""

    width: int
    words: Mapping[int, str]

    def gtkwave(self) -> str:
        """A translate filter file for signals shown in hexadecimal."""
        digits = -(-self.width // 4)
        return "".join(f"{value:0{digits}X} {word}\n" for value, word in self.words.items())

    def surfer(self, name: str) -> str:
        """A mapping that Surfer offers as the format ``name``."""
        lines = "".join(f"{value} {word}\n" for value, word in self.words.items())
        return f"Name = {name}\nBits = {self.width}\n{lines}"


@dataclass(frozen=True)
class Signal:
    """A signal of a node: its path below the instance, bits, and the ``value_names`` it has."""

    path: str
    width: int = 1
    names: str | None = None


States = Mapping[str, Mapping[int, str]]
NO_STATES: States = {}


def value_names(params: ChipParams, states: States = NO_STATES) -> dict[str, ValueNames]:
    """By name: kinds of flit, memories of a core, causes of an error (a bit each), and ``states``
    (:func:`stemcore.hdl.export.node_states`) by their wires.

    Two causes in one cycle have no word; viewers show their number.
    """
    formats = Formats(params)
    return {
        "kind": ValueNames(dict(formats.flit.widths)["kind"], {kind: kind.name for kind in Kind}),
        "memory": ValueNames(
            dict(formats.pointer.widths)["memory"], {memory: memory.name for memory in Memory}
        ),
        "causes": ValueNames(len(Error), {1 << error: error.name for error in Error}),
        **{wire: ValueNames(max(words).bit_length(), words) for wire, words in states.items()},
    }


def node_signals(params: ChipParams, states: States = NO_STATES) -> list[Signal]:
    """What a saved view shows of a node: links, what its core sends, states, configuration, errors.

    states : as for :func:`value_names`
    """
    formats, names = Formats(params), value_names(params)
    flit = formats.flit.width
    kind, memory, causes = (names[name].width for name in ("kind", "memory", "causes"))
    signals = []
    for port in (f"{name}_{side}" for name in LINK_NAMES for side in "io"):
        signals += [
            Signal(f"{port}_valid"),
            Signal(f"{port}_ready"),
            Signal(f"{port}_payload_kind", kind, "kind"),
            Signal(f"{port}_payload", flit),
        ]
    return [
        *signals,
        Signal("sent"),
        Signal("sent_flit_kind", kind, "kind"),
        Signal("sent_flit", flit),
        Signal("quiet"),
        *(Signal(wire, max(words).bit_length(), wire) for wire, words in states.items()),
        Signal("core.configuration.bus_write"),
        Signal("core.configuration.bus_read"),
        Signal("core.configuration.bus_memory", memory, "memory"),
        Signal("core.configuration.causes", causes, "causes"),
    ]


def saved_view(params: ChipParams, instances: Mapping[str, str], states: States = NO_STATES) -> str:
    """A save file of GTKWave (.gtkw): a group of traces for each node.

    instances : the node's instance in the waves, by the group's title. GTKWave is to be started in
        the folder that has ``FILTERS``.
    """
    lines = []
    filters = list(value_names(params, states))
    for title, instance in instances.items():
        lines += [f"@{_OPEN:x}", f"-{title}"]
        for signal in node_signals(params, states):
            bits = f"[{signal.width - 1}:0]" if signal.width > 1 else ""
            flags = (
                (_HEX if bits or signal.names else _BINARY)
                | _RIGHT
                | (_FILTERED if signal.names else 0)
            )
            lines.append(f"@{flags:x}")
            if signal.names:
                number = filters.index(signal.names) + 1
                lines.append(f"^{number} {FILTERS}/{signal.names}.txt")
            lines.append(f"{instance}.{signal.path}{bits}")
        lines += [f"@{_CLOSE:x}", f"-{title}"]
    return "\n".join(lines) + "\n"


def write_value_names(folder: Path, params: ChipParams, states: States = NO_STATES) -> None:
    """GTKWave's filter files and Surfer's mappings, in folders below ``folder``."""
    for name, names in value_names(params, states).items():
        for path, text in (
            (folder / FILTERS / f"{name}.txt", names.gtkwave()),
            (folder / MAPPINGS / f"stemcore_{name}.txt", names.surfer(f"stemcore {name}")),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
