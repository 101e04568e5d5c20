# SPDX-License-Identifier: Apache-2.0
"""Activation tables of a network: their names, and the passes that insert them.

A table replaces every finished activation of a layer by another of the same range, so that fewer
spikes carry nearly the same value (:mod:`stemcore.golden.arithmetic.activation_tables`). It is the
contents of a memory, not a circuit: any pointwise function will do.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stemcore.files import read_file
from stemcore.golden.arithmetic import activation_tables as golden_tables
from stemcore.golden.network.network import INPUT, Network

from ..errors import FormatError, SparsifyError
from ..quantization.quantized import IntArray, QuantizedNetwork

NONE = "none"
NAMED = "rot<r>, drlo<k>, ones<k>, rd<lambda>, or several joined by '+'"
Entry = str | Sequence[int]  # a name, or 2**bits entries
Tables = Mapping[str, IntArray]  # by layer, INPUT among them

_PART = re.compile(r"(rot|drlo|ones|rd)(\d+(?:\.\d+)?)")


def named_table(name: str, bits: int, is_signed: bool, where: str = "TABLES") -> IntArray:
    """The table that a name stands for, for activations of ``bits`` bits.

    ``rot<r>``: nearest multiple of ``2**r``; ``drlo<k>``: the k highest one-bits; ``ones<k>``: the
    nearest value with at most k ones; ``rd<lambda>``: least ``(q - q')**2 + lambda * ones(q')``.
    Names joined by ``+`` are applied from left to right. ``SparsifyError`` for anything else.
    """
    table = golden_tables.identity(bits, is_signed)
    for kind, number in _parts(name, where):
        try:
            table = golden_tables.compose(table, _one_table(kind, number, bits, is_signed))
        except ValueError as error:
            raise SparsifyError(
                where, f"{kind}{number} is no table of {bits} bits: {error}"
            ) from error
    return table


def _parts(name: str, where: str) -> list[tuple[str, str]]:
    found = [_PART.fullmatch(part) for part in name.split("+")]
    if None in found:
        raise SparsifyError(
            where,
            f"a table must be {NAMED}, or the path of a JSON file; got {name!r}",
            "rd20, say",
        )
    return [(match[1], match[2]) for match in found if match is not None]


def _one_table(kind: str, number: str, bits: int, is_signed: bool) -> IntArray:
    if kind == "rd":
        if not math.isfinite(float(number)):
            raise ValueError("lambda must be a number that a float holds")
        return golden_tables.rate_distortion(bits, float(number), is_signed)
    make = {
        "rot": golden_tables.rot,
        "drlo": golden_tables.drlo,
        "ones": golden_tables.nearest_ones,
    }[kind]
    if "." in number:
        raise ValueError(f"{kind} takes a whole number, got {number}")
    return make(bits, int(number), is_signed)


def read_tables(text: str) -> str | dict[str, Entry]:
    """The value of the option TABLES: a table's name, or the contents of the JSON file it names.

    The file maps a layer's name (or ``input``) to a table's name or to its ``2**bits`` entries;
    layers that it leaves out keep their activations. ``SparsifyError`` for a name that is none.
    """
    path = Path(text)
    if text == NONE or all(map(_PART.fullmatch, text.split("+"))):
        return text
    if not (path.suffix == ".json" or _is_file(path)):
        _parts(text, "TABLES")  # refuses it
    try:
        content = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(text, f"must be a JSON file of tables: {error}") from error
    if not isinstance(content, dict) or not all(_is_entry(entry) for entry in content.values()):
        raise FormatError(
            text,
            "must map every layer to a table's name or to a list of integers",
            "write it with 'make sparsify'",
        )
    return content


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no name that a file could have
        return False


def _is_entry(entry: object) -> bool:
    if isinstance(entry, list):
        return all(isinstance(value, int) and not isinstance(value, bool) for value in entry)
    return isinstance(entry, str)


def find_tables(
    network: QuantizedNetwork, wanted: str | Mapping[str, Entry]
) -> dict[str, IntArray]:
    """Tables by layer. A name stands for all layers but outputs, a mapping for those it names.

    Values of outputs are the network's result, and the input is fired by the host: a name
    leaves both as they are. A mapping may name them; the host then has to apply the input's table.

    Raises
    ------
    SparsifyError
        For a layer that is not there, a name that is no table, or entries beyond the layer's
        limits.
    """
    formats = {layer.name: (layer.bits, layer.is_signed, layer.limits) for layer in network.layers}
    formats[INPUT] = (network.input_bits, network.input_signed, network.input_limits)
    if isinstance(wanted, str):
        hidden = [layer.name for layer in network.layers if layer.name not in network.output_layers]
        wanted = {} if wanted == NONE else dict.fromkeys(hidden, wanted)
    unknown = sorted(set(wanted) - set(formats))
    if unknown:
        raise SparsifyError(
            "TABLES",
            f"names must be layers, got {', '.join(unknown)}",
            f"the layers are {', '.join(formats)}",
        )
    found = {}
    for name, entry in wanted.items():
        bits, is_signed, (low, high) = formats[name]
        if isinstance(entry, str):
            if entry == NONE:
                continue
            # The upper clamp of a layer may lie below the largest value that a name can give.
            found[name] = np.clip(named_table(entry, bits, is_signed, name), low, high)
        else:
            found[name] = _checked(name, entry, bits, (low, high))
    return found


def _checked(name: str, entries: Sequence[int], bits: int, within: tuple[int, int]) -> IntArray:
    if len(entries) != 1 << bits:
        raise SparsifyError(
            name, f"a table of {bits} bits must have {1 << bits} entries, got {len(entries)}"
        )
    if not all(isinstance(entry, int | np.integer) for entry in entries):
        raise SparsifyError(name, "entries of a table must be integers")
    if min(entries) < within[0] or max(entries) > within[1]:
        raise SparsifyError(
            name,
            f"entries must lie in {within[0]}..{within[1]}, got {min(entries)}..{max(entries)}",
        )
    return np.array(entries, np.int64)


def with_tables(network: QuantizedNetwork, tables: Tables) -> QuantizedNetwork:
    """The quantized network in which the named layers apply these tables to their activations,
    after a table that they have already (a function)."""
    layers = []
    for layer in network.layers:
        table = tables.get(layer.name)
        if table is not None:
            if layer.table is not None:
                table = golden_tables.compose(layer.table, table)
            layer = dataclasses.replace(layer, table=table)
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))


def apply_tables(network: Network, tables: Tables) -> Network:
    """The lowered network with these tables; a layer's own table (a clamp) is applied first."""
    layers = []
    for layer in network.layers:
        table = tables.get(layer.name)
        if table is not None:
            if layer.table is not None:
                table = golden_tables.compose(layer.table, table)
            layer = dataclasses.replace(layer, table=table)
        layers.append(layer)
    return dataclasses.replace(network, layers=tuple(layers))
