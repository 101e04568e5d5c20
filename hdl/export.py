# SPDX-License-Identifier: Apache-2.0
"""Verilog of a chip: the node converted once, and instantiated in a grid.

The grid is written here; the node is converted by RTLIL (:mod:`.modules`) and Yosys' ``proc``.
Amaranth's own Verilog writer emits ``always @*`` blocks that stay undefined in Icarus Verilog while
their inputs never change.
"""

import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache

from amaranth._toolchain import require_tool
from amaranth._toolchain.yosys import YosysError, YosysWarning, find_yosys
from amaranth.back import rtlil
from amaranth.lib import wiring

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.processes import guarded_group

from . import verilog_text
from .modules import convert, port_names
from .node import LINK_NAMES, Node

RAM_NAME = "ram"  # of the array in the module of every ConfigMemory, and of RANGES_SCOPE
RANGES_SCOPE = "node.core.ranges"  # where the ranges of axons lie, as in memory_scopes


def memory_scopes(params: ChipParams) -> dict[Memory, tuple[str, ...]]:
    """Where the memories of a node lie in the Verilog: names of modules below the simulator's top.

    For engines that load them directly. LOOKUP is there once for every lane of the soma.
    """
    core = "node.core."
    lookups = tuple(f"{core}soma.requantize.lookup_{i}" for i in range(params.soma_lanes))
    return {
        Memory.AXON: (f"{core}axon_in.axon",),
        Memory.TABLE_C: (f"{core}axon_in.table_c",),
        Memory.TABLE_Y: (f"{core}axon_in.table_y",),
        Memory.TABLE_X: (f"{core}axon_in.table_x",),
        Memory.WEIGHT: (f"{core}dendrite.weights",),
        Memory.UPDATE: (f"{core}soma.update_pass",),
        Memory.REQUANT: (f"{core}soma.requant",),
        Memory.LOOKUP: lookups,
        Memory.FIRE: (f"{core}axon_out.fire_table",),
        Memory.DESTINATION: (f"{core}axon_out.destinations",),
    }


TIMESCALE = "`timescale 1ns/1ps\n"  # of every file, though nothing in them waits

_SCRIPT = """read_rtlil <<rtlil
{text}
rtlil
proc
{passes}
clean
write_verilog -noattr
"""
_MODULE = re.compile(r"(?m)^module \\(\S+)$")


@dataclass(frozen=True)
class Exported:
    """Verilog of a component.

    verilog : text of all modules
    modules : the module of every instance by its scope: ``node.core.axon_in`` and the like
    blackbox : the component's module as its ports alone, for flows in which it is a hard macro
    words : what the values of enumerations and states are called, by scope and wire:
        ``node.core.control.phase_state`` and the like
    """

    verilog: str
    modules: Mapping[str, str]
    blackbox: str
    words: Mapping[str, Mapping[int, str]]


def export(component: wiring.Component, *, name: str, ultra: Collection[str] = ()) -> Exported:
    """Verilog of one component as a module called ``name``, with one module for each kind below it.

    Ports are named as in :func:`.modules.port_names`. ``ultra``: scopes of memories that are to
    lie in UltraRAM; those of one module lie there together.
    """
    converted = convert(component, name=name)
    in_ultra = {converted.modules[scope] for scope in ultra}
    text = _run_yosys(converted.text, "")
    verilog = TIMESCALE + verilog_text.for_other_tools(text, in_ultra)
    words = {
        f"{scope}.{wire}": values
        for scope, module in converted.modules.items()
        for wire, values in converted.enums.get(module, {}).items()
    }
    return Exported(verilog, converted.modules, _blackbox(component, name, verilog), words)


def _blackbox(component: wiring.Component, name: str, verilog: str) -> str:
    """A module without contents; its clock and reset are those that ``verilog`` has."""
    header = re.search(rf"(?m)^module {name}\(([^)]*)\);", verilog)
    assert header is not None
    ports = [f"input {port}" for port in ("clk", "rst") if port in re.findall(r"\w+", header[1])]
    for port, (signal, direction) in port_names(component).items():
        bits = f"[{len(signal) - 1}:0] " if len(signal) > 1 else ""
        ports.append(f"{direction.value} {bits}{port}")
    declared = ",\n  ".join(ports)
    return f"""{TIMESCALE}
// Ports of {name}, whose contents come from elsewhere; not to be read together with {name}.v.
// Its outputs have no driver here.
/* verilator lint_off UNDRIVEN */
(* blackbox *)
module {name}(
  {declared}
);
endmodule
/* verilator lint_on UNDRIVEN */
"""


def component_verilog(component: wiring.Component, *, name: str) -> str:
    """The text of :func:`export`."""
    return export(component, name=name).verilog


@cache
def node_export(params: ChipParams, *, ultra_weights: bool = False) -> Exported:
    """The module ``node`` and everything below it; with its weights in UltraRAM if asked for."""
    ultra = memory_scopes(params)[Memory.WEIGHT] if ultra_weights else ()
    return export(Node(params=params), name="node", ultra=ultra)


def node_blackbox(params: ChipParams) -> str:
    """The module ``node`` as its ports alone."""
    return node_export(params).blackbox


def node_states(params: ChipParams) -> dict[str, Mapping[int, str]]:
    """What the states of a node are called, by wires below the node: ``core.control.phase_state``
    and the like."""
    return {
        wire.removeprefix("node."): words
        for wire, words in node_export(params).words.items()
        if wire.endswith("_state")
    }


def node_verilog(params: ChipParams, *, ultra_weights: bool = False) -> str:
    """The text of :func:`node_export`."""
    return node_export(params, ultra_weights=ultra_weights).verilog


def instances_verilog(
    component: wiring.Component,
    *,
    name: str,
    passes: str,
    stays: Callable[[str], bool],
    platform: str | None = None,
) -> str:
    """Verilog of a component with a module for every instance, called by its scope.

    For simulators that are to treat instances apart. ``passes`` are further commands of Yosys, to
    be run before the Verilog is written; where ``flatten`` is one of them, the modules whose scope
    (``node.core.soma``) ``stays`` remain. ``platform``: what the component is elaborated for, see
    ``stemcore.hdl.platforms``.
    """

    def marked(match: re.Match[str]) -> str:
        return f"attribute \\keep_hierarchy 1\n{match[0]}" if stays(match[1]) else match[0]

    ports = port_names(component)
    text = rtlil.convert(component, name=name, platform=platform, ports=ports, emit_src=False)
    verilog = verilog_text.loops(_run_yosys(_MODULE.sub(marked, text), passes))
    # Hierarchical module names need escapes in Verilog; plain names are kinder to every tool.
    escaped = rf"\\({re.escape(name)}(?:\.\w+)+) "
    return re.sub(escaped, lambda match: match[1].replace(".", "__") + " ", verilog)


def _run_yosys(text: str, passes: str) -> str:
    """Verilog of RTLIL after ``passes``, as Yosys writes it; ``YosysError`` where it fails.

    Amaranth finds the program, and would start it too, but in our process group: it would go on
    where this process is killed.
    """
    yosys = find_yosys(lambda version: version >= (0, 40))
    package = getattr(yosys, "YOSYS_PACKAGE", None)
    begin = [sys.executable, "-m", package] if package else [require_tool(yosys.YOSYS_BINARY)]
    with guarded_group() as group:
        done = subprocess.run(
            [*begin, "-q", "-"],
            input=_SCRIPT.format(text=text, passes=passes),
            capture_output=True,
            encoding="utf-8",
            process_group=group,
            check=False,
        )
    if done.returncode:
        raise YosysError(done.stderr.strip() or f"yosys: exit status {done.returncode}")
    if done.stderr.strip():  # quiet, it writes nothing else there
        warnings.warn(done.stderr.strip(), YosysWarning, stacklevel=3)
    return done.stdout


def chip_verilog(params: ChipParams, *, columns: int, rows: int) -> str:
    """Verilog of the module ``chip``: ``columns`` x ``rows`` nodes and the host's link.

    The host's link is the north link of node (0, 1): ``host_i`` goes into the chip, ``host_o``
    comes out. Other links at the edges are tied off: nothing comes in, and what a wrong program
    sends there is dropped; the node counts it as an error (so it cannot be lost unseen). Both sizes
    are parameters of the module, ``COLUMNS`` and ``ROWS``, with these values where none is given.
    """
    if not 1 <= columns <= params.max_columns or not 1 <= rows <= params.max_rows:
        raise ValueError(
            f"chip: columns must be 1 to {params.max_columns} and rows 1 to {params.max_rows}, "
            f"got {columns} x {rows}"
        )
    width = Formats(params).flit.width
    return f"""{TIMESCALE}
// COLUMNS x ROWS nodes; node (x, y) has number (y - 1) * COLUMNS + x.
module chip #(
  parameter COLUMNS = {columns}, // 1 to {params.max_columns}
  parameter ROWS = {rows} // 1 to {params.max_rows}
)(
  input clk, input rst,
  input host_i_valid, input [{width - 1}:0] host_i_payload, output host_i_ready,
  output host_o_valid, output [{width - 1}:0] host_o_payload, input host_o_ready,
  output quiet
);
  localparam NODES = COLUMNS * ROWS;
  localparam WIDTH = {width};
  // One bit, or one flit, per node and port: index node * 4 + port; ports are N, E, S, W.
  wire [NODES*4-1:0] i_valid, i_ready, o_valid, o_ready;
  wire [NODES*4*WIDTH-1:0] i_payload, o_payload;
  wire [NODES-1:0] quiets;
  wire [NODES-1:0] sent;
  wire [NODES*WIDTH-1:0] sent_flit;
  assign quiet = &quiets;
  assign host_i_ready = i_ready[0];
  assign host_o_valid = o_valid[0];
  assign host_o_payload = o_payload[0 +: WIDTH];
  genvar x, y;
  generate
    if (COLUMNS < 1 || COLUMNS > {params.max_columns} ||
        ROWS < 1 || ROWS > {params.max_rows}) begin : wrong
      // There is no such module: its name is the error that tools give.
      chip_must_have_1_to_{params.max_columns}_columns_and_1_to_{params.max_rows}_rows sizes();
    end
    for (y = 1; y <= ROWS; y = y + 1) begin : row
      for (x = 0; x < COLUMNS; x = x + 1) begin : column
        localparam N = (y - 1) * COLUMNS + x;
        localparam [{params.coord_width - 1}:0] X = x;
        localparam [{params.coord_width - 1}:0] Y = y;
        localparam [3:0] EDGES = {{x == 0, y == ROWS, x + 1 == COLUMNS, y == 1 && x > 0}};
{_instance()}
        // Towards the north: the host above node 0, another node, or nothing.
        if (y > 1) begin : north
{_pair("N", 0, "N - COLUMNS", 2)}
        end else if (x == 0) begin : host
          assign i_valid[N*4+0] = host_i_valid;
          assign i_payload[(N*4+0)*WIDTH +: WIDTH] = host_i_payload;
          assign o_ready[N*4+0] = host_o_ready;
        end else begin : north_edge
{_edge("N", 0)}
        end
        if (x + 1 < COLUMNS) begin : east
{_pair("N", 1, "N + 1", 3)}
        end else begin : east_edge
{_edge("N", 1)}
        end
        if (y < ROWS) begin : south
{_pair("N", 2, "N + COLUMNS", 0)}
        end else begin : south_edge
{_edge("N", 2)}
        end
        if (x > 0) begin : west
{_pair("N", 3, "N - 1", 1)}
        end else begin : west_edge
{_edge("N", 3)}
        end
      end
    end
  endgenerate
endmodule
"""


def _instance() -> str:
    ports = ["        node node(", "          .clk(clk), .rst(rst),"]
    ports.append("          .x(X), .y(Y), .edges(EDGES),")
    for port, name in enumerate(LINK_NAMES):
        for side in "io":
            bit, flit = f"[N*4+{port}]", f"[(N*4+{port})*WIDTH +: WIDTH]"
            ports.append(
                f"          .{name}_{side}_valid({side}_valid{bit}), "
                f".{name}_{side}_payload({side}_payload{flit}), "
                f".{name}_{side}_ready({side}_ready{bit}),"
            )
    ports.append("          .sent(sent[N]), .sent_flit(sent_flit[N*WIDTH +: WIDTH]),")
    ports.append("          .awake(), .quiet(quiets[N]));")
    return "\n".join(ports)


def _pair(node: str, port: int, other: str, other_port: int) -> str:
    """What enters ``node`` at ``port`` is what ``other`` sends at ``other_port``."""
    return f"""          assign i_valid[{node}*4+{port}] = o_valid[({other})*4+{other_port}];
          assign i_payload[({node}*4+{port})*WIDTH +: WIDTH] =
            o_payload[(({other})*4+{other_port})*WIDTH +: WIDTH];
          assign o_ready[{node}*4+{port}] = i_ready[({other})*4+{other_port}];"""


def _edge(node: str, port: int) -> str:
    return f"""          assign i_valid[{node}*4+{port}] = 1'b0;
          assign i_payload[({node}*4+{port})*WIDTH +: WIDTH] = {{WIDTH{{1'b0}}}};
          assign o_ready[{node}*4+{port}] = 1'b1;"""
