# SPDX-License-Identifier: Apache-2.0
"""Reading and writing signals as integers, alone or as the named fields of a payload."""

from collections.abc import Mapping
from typing import Any

from stemcore.golden.spec.bit_fields import BitFields

Item = Any
"""What a stream carries: an integer, or a dict of integers by name."""


def read_bit(signal: Any) -> int | None:
    """0 or 1; None where the signal is undefined."""
    value = signal.value
    return _unsigned(value) if value.is_resolvable else None


def _unsigned(value: Any) -> int:
    return int(value.to_unsigned()) if hasattr(value, "to_unsigned") else int(value)


class Payload:
    """The signals that carry an item, in one of three forms.

    ``Payload(dut.tdata)``
        An item is an unsigned integer.
    ``Payload({"data": dut.tdata, "last": dut.tlast})``
        An item is a dict of unsigned integers, a signal each.
    ``Payload(dut.flit, fields={"kind": 3, "address": 12})``
        An item is a dict of bit fields of one signal, in so many bits each, the first one lowest;
        a :class:`stemcore.golden.spec.fields.BitFields` does too.

    Parameters
    ----------
    signals : handle, or dict of handles by name
    fields : widths by name, or BitFields, optional
    width : int, or dict of int by name, optional
        Bits that the signals must have; raises ``ValueError`` where they have others.
    """

    def __init__(
        self,
        signals: Any,
        *,
        fields: BitFields | Mapping[str, int] | None = None,
        width: int | Mapping[str, int] | None = None,
    ):
        self._is_dict = isinstance(signals, Mapping)
        self._signals: dict[str, Any] = dict(signals) if self._is_dict else {"": signals}
        if fields is not None and self._is_dict:
            raise ValueError("fields: must be those of one signal, got several signals")
        if fields is not None and not isinstance(fields, BitFields):
            fields = BitFields("payload", tuple(fields.items()))
        self._fields: BitFields | None = fields
        wanted = dict(width) if isinstance(width, Mapping) else dict.fromkeys(self._signals, width)
        if fields is not None:
            wanted = {"": fields.width}
        for name, signal in self._signals.items():
            if wanted.get(name) is not None and len(signal) != wanted[name]:
                raise ValueError(
                    f"{signal._path}: must be {wanted[name]} bits wide, got {len(signal)}"
                )

    def write(self, item: Item) -> None:
        """Puts ``item`` on the signals; ``ValueError`` if it lacks a field or does not fit."""
        for name, value in self._words(item).items():
            signal = self._signals[name]
            if not 0 <= value < 1 << len(signal):
                raise ValueError(
                    f"{signal._path}: must fit in {len(signal)} unsigned bits, got {value}"
                )
            signal.value = value

    def _words(self, item: Item) -> dict[str, int]:
        """A word for every signal."""
        if self._fields is not None:
            return {"": int(self._fields.pack(**item))}
        if not self._is_dict:
            return {"": int(item)}
        if item.keys() != self._signals.keys():
            raise ValueError(f"payload: must have {sorted(self._signals)}, got {sorted(item)}")
        return {name: int(value) for name, value in item.items()}

    def read(self) -> Item:
        """The item on the signals; ``AssertionError`` where a bit of it is undefined."""
        words = {}
        for name, signal in self._signals.items():
            value = signal.value
            if not value.is_resolvable:
                raise AssertionError(f"{signal._path}: must be defined while valid, got {value}")
            words[name] = _unsigned(value)
        if self._fields is not None:
            return self._fields.unpack(words[""])
        return words if self._is_dict else words[""]

    def write_complement(self) -> None:
        """Inverts the signals: what is not valid must not be used, and differs from what was."""
        for signal in self._signals.values():
            value = signal.value
            word = _unsigned(value) if value.is_resolvable else 0
            signal.value = ~word & ((1 << len(signal)) - 1)


def show(item: Item) -> str:
    """An item for messages: integers in hexadecimal."""
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{name}: {show(value)}" for name, value in item.items()) + "}"
    return f"{item:#x}" if isinstance(item, int) else str(item)
