# SPDX-License-Identifier: Apache-2.0
"""Write bursts: many WRITE flits to one rectangle as a header and 32 bits of data for each of them.

They are a matter of the stream between a host and the host side: a chip only ever sees flits. The
header is a flit of kind DATA, which a host has no other use for; its rectangle is that of the WRITE
flits, and its payload says how many there are. As many words of 64 bits follow as hold their data,
two in each, the first in the lower half: little more than half the words of a program's flits.
Standard library only.
"""

from .bit_fields import BitFields
from .fields import Kind

HEADER_KIND = Kind.DATA
COUNT_WIDTH = 16
BURST = BitFields("burst", (("count", COUNT_WIDTH),))  # payload of the header
MAX_COUNT = (1 << COUNT_WIDTH) - 1  # WRITE flits of a burst
CHUNKS_PER_WORD = 2


def burst_words(n_writes: int) -> int:
    """Words of a burst of ``n_writes`` WRITE flits, its header among them."""
    return 1 + -(-n_writes // CHUNKS_PER_WORD)


MIN_COUNT = next(n for n in range(1, MAX_COUNT) if burst_words(n) < n)  # else flits are as short


def stream_words(n_writes: int) -> int:
    """Words in which ``n_writes`` WRITE flits to one rectangle are sent: bursts, where shorter."""
    n_full, rest = divmod(n_writes, MAX_COUNT)
    return n_full * burst_words(MAX_COUNT) + (burst_words(rest) if rest >= MIN_COUNT else rest)
