# SPDX-License-Identifier: Apache-2.0
"""AXI4-Lite and AXI4-Stream interfaces, by the names that the standards give their signals."""

from enum import IntEnum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

DATA_WIDTHS = (32, 64)


class Response(IntEnum):
    """BRESP and RRESP."""

    OKAY = 0
    SLVERR = 2


def check_width(where: str, width: int) -> None:
    """Raises ``ValueError`` for a data width that no host of this project has."""
    if width not in DATA_WIDTHS:
        raise ValueError(f"{where}: must be 32 or 64 bits, got {width}")


class AxiLite(wiring.Signature):
    """AXI4-Lite as the manager sees it; a subordinate has it as ``In``. PROT is left out.

    Parameters
    ----------
    address_width : int
        Bits of a byte address.
    data_width : int
        32 or 64.
    """

    def __init__(self, *, address_width: int, data_width: int):
        check_width("AxiLite.data_width", data_width)
        super().__init__(
            {
                "awvalid": Out(1),
                "awready": In(1),
                "awaddr": Out(address_width),
                "wvalid": Out(1),
                "wready": In(1),
                "wdata": Out(data_width),
                "wstrb": Out(data_width // 8),
                "bvalid": In(1),
                "bready": Out(1),
                "bresp": In(2),
                "arvalid": Out(1),
                "arready": In(1),
                "araddr": Out(address_width),
                "rvalid": In(1),
                "rready": Out(1),
                "rdata": In(data_width),
                "rresp": In(2),
            }
        )


class AxiStream(wiring.Signature):
    """AXI4-Stream as the transmitter sees it.

    Parameters
    ----------
    data_width : int
        32 or 64.
    """

    def __init__(self, *, data_width: int):
        check_width("AxiStream.data_width", data_width)
        super().__init__(
            {
                "tvalid": Out(1),
                "tready": In(1),
                "tdata": Out(data_width),
                "tkeep": Out(data_width // 8),
                "tlast": Out(1),
            }
        )
