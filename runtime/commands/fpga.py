# SPDX-License-Identifier: Apache-2.0
"""``stemcore fpga``: a chip on a board."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .codec_option import add_codec_option
from .registry import DEVELOP
from .source_options import at_least_one
from .synth import megahertz

if TYPE_CHECKING:
    from ..fpga.synthesis import Design

NAME = "fpga"
GROUP = DEVELOP
HELP = "build a board's bitstream and say what it takes; of a network, images per second on it"
EXAMPLES = (
    "stemcore fpga --board ulx3s",
    "stemcore fpga --board ulx3s --model digits_cnn --seeds 3",
    "stemcore fpga --board ulx3s_25f --clock 60",
)
BOARD = "ulx3s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from stemcore.golden.spec.presets import PRESETS
    from stemcore.hdl.boards.board import boards

    known = [board for board in boards().values() if board.is_buildable]
    described = "; ".join(f"{board.name} ({board.device})" for board in known)
    parser.add_argument(
        "--board",
        default=BOARD,
        choices=list(boards()),
        help=f"what it is built for: {described} (default: %(default)s)",
    )
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), help="sizes of a node (default: the board's)"
    )
    parser.add_argument(
        "--nodes",
        type=_nodes,
        metavar="COLUMNSxROWS",
        help="nodes of the chip, such as 3x1 (default: as many as fit)",
    )
    parser.add_argument(
        "--clock", type=megahertz, metavar="MHZ", help="of the chip (default: the board's)"
    )
    parser.add_argument(
        "--baud",
        type=at_least_one,
        default=1_000_000,
        help="of the serial line (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=at_least_one,
        default=1,
        metavar="N",
        help="placements, with seeds 1..N; the fastest is the bitstream (default: %(default)s)",
    )
    add_codec_option(parser)
    network = parser.add_argument_group("the network that is to run on it")
    network.add_argument(
        "--model", help="a registered name, file.py:function, or a file .pt2 or .onnx"
    )
    network.add_argument("--dataset", metavar="NAME|FOLDER|FILE", help="(default: the model's own)")
    network.add_argument(
        "--data", type=Path, metavar="FOLDER", help="folder of the data set (default: ./data)"
    )
    network.add_argument("--checkpoint", type=Path, metavar="FILE", help="weights, safetensors")
    network.add_argument(
        "--simulate",
        type=at_least_one,
        metavar="N",
        help="before placing: run N test images on a chip of such nodes as netlists, and compare "
        "every output with golden, every flit and its cycle with the RTL (default: no)",
    )


def _nodes(text: str) -> tuple[int, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be columns x rows such as 3x1, got {text!r}")
    return int(columns), int(rows)


def run(arguments: argparse.Namespace) -> int:
    from .progress import Display

    _check_network(arguments)
    with Display() as display:
        display.say("load         the compiler and its libraries")
        from stemcore.hdl.boards.board import XILINX

        from ..fpga.build import build, make_design, table

        design = make_design(
            arguments.board,
            preset=arguments.preset,
            nodes=arguments.nodes,
            clock_mhz=arguments.clock,
            baud=arguments.baud,
            codec=arguments.codec,
        )
        if arguments.simulate is not None:
            from ..fpga.netlist import family_of

            family_of(design.board)  # refuses early
        model = None
        if arguments.model:
            from ..fpga.network import network_on

            model = network_on(
                design,
                model=arguments.model,
                dataset=arguments.dataset or "",
                data=arguments.data,
                checkpoint=arguments.checkpoint,
                say=display.say,
            )
        netlist = None
        if arguments.simulate is not None:
            netlist = _simulate(design, arguments, display.say)
        seeds = range(1, arguments.seeds + 1)
        if design.board.family == XILINX:
            return _write_project(design, model, netlist, display.say)
        report, folder = build(design, seeds, model=model, netlist=netlist, say=display.say)
    print(table(report))
    if model:
        _print_model(model)
    _print_netlist(netlist)
    print(f"report       {folder / 'report.html'}")
    if report["bitstream"] is None:
        seed = str(report["best_seed"])
        reached = ", ".join(
            f"{clock} {found['by_seed'][seed]:g} of {found['target']:g} MHz"
            for clock, found in report["fmax_mhz"].items()
        )
        raise ValueError(
            f"clock: a placement must reach what is asked for, the best of {arguments.seeds} "
            f"reaches {reached}, so there is no bitstream; ask for less with CLOCK (--clock), or "
            "try more SEEDS (--seeds)"
        )
    print(f"bitstream    {report['bitstream']}")
    print("next         " + "\n             ".join(report["next"]))
    return 0


def _write_project(
    design: "Design",
    model: dict[str, Any] | None,
    netlist: dict[str, Any] | None,
    say: Callable[[str], None],
) -> int:
    """A project for the vendor's tool in place of a bitstream."""
    from ..fpga.vendor import write_project

    report, folder = write_project(design, model, say, netlist=netlist)
    cells = ", ".join(f"{count:g} {kind}" for kind, count in report["node_cells"].items() if count)
    print(f"node         {cells}")
    if model:
        _print_model(model)
    _print_netlist(netlist)
    print(f"project      {folder}; checked {report['checked']}")
    print("next         " + "\n             ".join(report["next"]))
    return 0


def _check_network(arguments: argparse.Namespace) -> None:
    for name in ("dataset", "data", "checkpoint", "simulate"):
        if getattr(arguments, name) is not None and arguments.model is None:
            raise ValueError(f"{name}: must come with a model, none came; name one with MODEL")


def _simulate(
    design: "Design", arguments: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    from ..fpga.netlist_run import run_on_netlist
    from ..settings import Settings

    settings = Settings(
        model=arguments.model,
        dataset=arguments.dataset or "",
        data=arguments.data,
        checkpoint=arguments.checkpoint,
        preset=design.preset,
    )
    n_nodes = design.columns * design.rows
    return run_on_netlist(design.board, settings, arguments.simulate, n_nodes=n_nodes, say=say)


def _print_netlist(netlist: dict[str, Any] | None) -> None:
    from ..fpga.netlist_run import netlist_line

    if netlist is not None:
        print(netlist_line(netlist))


def _print_model(model: dict[str, Any]) -> None:
    from ..report.figures import rate_text

    rate, on_chip = (rate_text(model[name]) for name in ("images_per_s", "images_per_s_chip"))
    n, groups = model["groups_as_bytes"], model["groups"]
    as_bytes = f", {n} of {groups} groups by the spike codec" if n else ", as flits"
    print(
        f"network      {model['name']}: {model['cores']} cores in {model['groups']} groups, each "
        f"loaded once for {model['batch']:,} images\n"
        f"             load {model['load_s']:.2f} s a batch; an image computes "
        f"{1e3 * model['compute_s']:.3f} ms and is {1e3 * model['transfer_s']:.3f} ms on the link\n"
        f"             {model['bytes_in']:,.0f} bytes in and {model['bytes_out']:,.0f} out an image"
        f"{as_bytes}\n"
        f"             {rate} images/s; {on_chip} with a link that takes no time"
    )
