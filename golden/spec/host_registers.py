# SPDX-License-Identifier: Apache-2.0
"""Registers that a host on a bus sees beside the chip: the one definition of their map.

Gateware, C header and reference page are made from ``HOST_REGISTERS``; Python reads it as it is.
Standard library only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from zlib import crc32

from .bit_fields import BitFields
from .codec import CodecParams
from .errors import MEANINGS, Error
from .fields import Formats, Kind
from .neurons import MODELS
from .params import ChipParams

REGISTER_WIDTH = 32
REGISTER_BYTES = REGISTER_WIDTH // 8
ADDRESS_WIDTH = 12  # bits of a byte address: the page of 4 KiB that buses hand out
_SIZE_WIDTH = 4  # bits of the exponent of a size
COORD_WIDTH = 8  # bits of a node coordinate in these registers
SUPPORTED_COORD_WIDTH = 6  # the widest for which a core's ERRORS fits 32 bits, as ALERT needs
IDENTITY = int.from_bytes(b"STEM", "little")
MAJOR, MINOR = 1, 2  # of this map; another major: an older driver does not fit
CODEC_MINOR = 1  # from which on the map has CODEC_SIZES and CODEC
BURST_MINOR = 2  # from which on the incoming stream takes write bursts


class Access(Enum):
    """What reading and writing a register does; a bit without a field always reads as zero."""

    CONSTANT = "read-only, fixed when the gateware is made"
    STATUS = "read-only"
    VALUE = "reads back what was written"
    COMMAND = "reads as zero; ones that are written act once"
    EVENTS = "the hardware sets bits, which stay; a one that is written clears its bit"

    @property
    def is_writable(self) -> bool:
        """Whether a write is answered OKAY."""
        return self not in (Access.CONSTANT, Access.STATUS)


@dataclass(frozen=True)
class HostRegister:
    """One register of 32 bits.

    Attributes
    ----------
    number : int
        Its place in the map.
    access : Access
    layout : BitFields
        Its fields, named as the register in lower case.
    meaning : str
    meanings : mapping of field to str
        Of fields that need more words than their name.
    init : int
        Value after reset of the host side, for ``Access.VALUE``.
    """

    number: int
    access: Access
    layout: BitFields
    meaning: str
    meanings: Mapping[str, str] = field(default_factory=dict)
    init: int = 0

    @property
    def name(self) -> str:
        """In capitals."""
        return self.layout.name.upper()

    @property
    def offset(self) -> int:
        """Byte address in the map."""
        return self.number * REGISTER_BYTES

    @property
    def mask(self) -> int:
        """Bits that have a field."""
        return (1 << self.layout.width) - 1


def _register(
    number: int,
    name: str,
    access: Access,
    widths: Mapping[str, int],
    meaning: str,
    meanings: Mapping[str, str] | None = None,
    init: int = 0,
) -> HostRegister:
    layout = BitFields(name, tuple(widths.items()))
    return HostRegister(number, access, layout, meaning, meanings or {}, init)


_COMMANDS = Formats(ChipParams()).command
_EVENTS = {
    "error": "a bit of ERRORS was set",
    "sample": "the END that completes a sample went out",
    "reset_done": "a RESET has ended",
    "command_done": "the flits of a COMMAND were handed over",
}
# Tokens and answers concern the host at once; spikes and END wait for the end of the sample.
_KINDS_ALONE = sum(1 << kind for kind in Kind if kind not in (Kind.SPIKE, Kind.END))

_CONTROL = (
    _register(0, "identity", Access.CONSTANT, {"word": 32}, f"`{IDENTITY:#010x}`: STEM in ASCII"),
    _register(
        1, "version", Access.CONSTANT, {"minor": 16, "major": 16}, "version of this register map"
    ),
    _register(
        2,
        "mesh",
        Access.CONSTANT,
        {"columns": 8, "rows": 8, "flit_width": 8, "stream_width": 8},
        "nodes of the chip, bits of a flit, and bits of a beat of both streams",
    ),
    _register(
        3,
        "status",
        Access.STATUS,
        dict.fromkeys(("quiet", "resetting", "sending", "open", "output", "burst"), 1),
        "what goes on",
        {
            "quiet": "nothing will happen in the chip before a flit arrives (it may be in the "
            "queue to it)",
            "resetting": "a reset is under way",
            "sending": "flits of a COMMAND are being handed over",
            "open": "more samples have gone in than have come out",
            "output": "a beat is offered on the outgoing stream",
            "burst": "the next incoming word is data of a write burst",
        },
    ),
    _register(
        4,
        "reset",
        Access.COMMAND,
        {"reset": 1},
        "resets the chip and drops the flits on their way to and from it",
        {
            "reset": "counters become zero as well; other registers stay. A beat that is offered "
            "stays offered. A write burst ends, with the word of it that has begun to come: what "
            "is sent afterwards begins with a flit. Refused while a reset is under way"
        },
    ),
    _register(
        5,
        "watchdog",
        Access.VALUE,
        {"exponent": 5},
        "n: 2**(n + 4) cycles of the host's clock in which samples are open and no flit passes "
        "are an error; 0: never",
    ),
    _register(
        6,
        "command",
        Access.COMMAND,
        dict(_COMMANDS.widths),
        "sends the two flits that write these bits to the register COMMAND of the cores in NODES",
        {
            "start": "the cores must be configured",
            "stop": "follow the sequence of stop, rest, stop, clear_errors",
            "clear_errors": "those of the cores; ERRORS has its own",
        },
    ),
    _register(
        7,
        "last_kinds",
        Access.VALUE,
        {"kinds": len(Kind)},
        "bit k: every outgoing flit of kind k has TLAST",
        init=_KINDS_ALONE,
    ),
    _register(
        8,
        "nodes",
        Access.VALUE,
        dict.fromkeys(("x0", "y0", "x1", "y1"), COORD_WIDTH),
        "the rectangle of nodes that COMMAND goes to, both ends included; all nodes after reset",
    ),
    _register(
        9,
        "sample_ends",
        Access.VALUE,
        {"input": 16, "output": 16},
        "END flits that complete a sample, going in and coming out; 0: samples are not counted",
        {"output": "TLAST goes with the END that completes one"},
        init=1 | 1 << 16,
    ),
    _register(
        10,
        "errors",
        Access.EVENTS,
        {error.name.lower(): 1 for error in Error}
        | {"keep": 1, "truncated": 1, "beyond": 1, "silence": 1, "alert": 1, "codec": 1},
        "what was wrong: causes that cores have sent in ALERT flits, and those of this side",
        {error.name.lower(): meaning for error, meaning in MEANINGS.items()}
        | {
            "keep": "TKEEP of an incoming beat was neither all ones nor zero: the word was dropped",
            "truncated": "TLAST came amid an incoming word, which was dropped",
            "beyond": "an incoming word had bits beyond a flit's, or the header of a write burst "
            "bits beyond its count: it was dropped",
            "silence": "the watchdog of the host side saw no flit pass",
            "alert": "an ALERT flit came, and ALERT holds the first",
            "codec": "the codec dropped an access to its memories, or a spike of a neuron that no "
            "output population has",
        },
    ),
    _register(
        11,
        "alert",
        Access.STATUS,
        {"word": 32},
        "payload of the first ALERT flit since the bit `alert` of ERRORS was cleared: a word "
        "`errors` of a core",
    ),
    _register(12, "interrupt", Access.EVENTS, dict.fromkeys(_EVENTS, 1), "what happened", _EVENTS),
    _register(
        13,
        "interrupt_enable",
        Access.VALUE,
        dict.fromkeys(_EVENTS, 1),
        "the interrupt line is high while a bit is set here and in INTERRUPT",
    ),
    *(
        _register(14 + n, name, Access.STATUS, {"count": 32}, f"{meaning}; wraps")
        for n, (name, meaning) in enumerate(
            {
                "flits_in": "flits handed over to the chip, those of COMMAND included",
                "flits_out": "flits that came from the chip",
                "spikes_in": "those of them that are spikes",
                "spikes_out": "those of them that are spikes",
                "samples_in": "samples completed by END on their way in",
                "samples_out": "samples completed by END on their way out",
                "stalled_in": "cycles in which a beat was offered and not taken from the host",
                "stalled_out": "cycles in which a beat was offered and not taken by the host",
            }.items()
        )
    ),
    _register(
        22,
        "codec_sizes",
        Access.CONSTANT,
        dict.fromkeys((size.name for size in fields(CodecParams)), _SIZE_WIDTH),
        "sizes of the spike codec beside the port, as exponents of two; all zero: there is none",
    ),
    _register(
        23,
        "codec",
        Access.VALUE,
        {"work": 1},
        "what the spike codec does",
        {
            "work": "samples are bytes in both directions, and tokens the codec's: END on a stream "
            "heads the words of a sample. Change it while nothing is under way; without a codec it "
            "does nothing"
        },
    ),
)
FIRST_PARAM = 32
_PARAMS = tuple(
    _register(
        FIRST_PARAM + n,
        f"param_{item.name}",
        Access.CONSTANT,
        {"value": 32},
        f"`ChipParams.{item.name}`"
        + (": CRC-32 of the neuron model's name" if item.name == "integration" else ""),
    )
    for n, item in enumerate(fields(ChipParams))
)
HOST_REGISTERS: dict[str, HostRegister] = {r.name: r for r in (*_CONTROL, *_PARAMS)}


def param_words(params: ChipParams) -> dict[str, int]:
    """Values of the registers PARAM_*, by name."""
    return {
        f"PARAM_{name.upper()}": crc32(value.encode()) if isinstance(value, str) else int(value)
        for name, value in params.to_dict().items()
    }


def codec_word(codec: CodecParams | None) -> int:
    """Value of CODEC_SIZES."""
    layout = HOST_REGISTERS["CODEC_SIZES"].layout
    sizes = {name: 0 for name, _ in layout.widths}
    if codec is not None:
        sizes = {name: getattr(codec, name).bit_length() - 1 for name in sizes}
    return layout.pack(**sizes)


def codec_of_word(word: int) -> CodecParams | None:
    """The codec from CODEC_SIZES; ``ValueError`` for sizes that there are not."""
    if word == 0:
        return None
    sizes = HOST_REGISTERS["CODEC_SIZES"].layout.unpack(word)
    return CodecParams(**{name: 1 << exponent for name, exponent in sizes.items()})


def params_of_words(words: Sequence[int]) -> ChipParams:
    """The chip's parameters from its registers PARAM_*, in the order of the map.

    Raises ``ValueError`` for words that describe no chip that this release knows.
    """
    items = fields(ChipParams)
    if len(words) != len(items):
        raise ValueError(f"words: must be {len(items)}, one for each PARAM_*, got {len(words)}")
    values: dict[str, int | bool | str] = {}
    for item, word in zip(items, words, strict=True):
        if item.name == "integration":
            names = [name for name in MODELS if crc32(name.encode()) == word]
            if not names:
                raise ValueError(
                    f"PARAM_INTEGRATION: must be the CRC-32 of one of {', '.join(MODELS)}, "
                    f"got {word:#010x}; use a release that has the chip's neuron model"
                )
            values[item.name] = names[0]
        elif item.type is bool:
            if word not in (0, 1):
                raise ValueError(f"PARAM_{item.name.upper()}: must be 0 or 1, got {word}")
            values[item.name] = bool(word)
        else:
            values[item.name] = word
    return ChipParams.from_dict(values)
