# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from stemcore.runtime.native.build import check_order

CLOCKS = "CData/*0:0*/ __Vtrigprevexpr___TOP__clk__0;\nCData __Vtrigprevexpr___TOP__clk_soma__0;\n"


def test_a_model_with_triggers_of_its_clocks_alone_is_taken(tmp_path):
    header = tmp_path / "Vnode___024root.h"
    header.write_text(CLOCKS)
    check_order(header)


def test_logic_that_verilator_takes_for_a_loop_is_refused_by_name(tmp_path):
    header = tmp_path / "Vnode___024root.h"
    signal = "__Vtrigprevexpr___TOP__node__DOT__core__DOT__entry__DOT__check__02eflit"
    header.write_text(f"{CLOCKS}IData {signal}__0;\nIData {signal}__1;\n")
    with pytest.raises(
        RuntimeError, match=r"for a loop: node\.core\.entry\.check\.flit; "
    ) as caught:
        check_order(header)
    assert len(re.findall("check.flit", str(caught.value))) == 1
