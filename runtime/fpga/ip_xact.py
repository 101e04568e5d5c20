# SPDX-License-Identifier: Apache-2.0
"""``component.xml`` of a chip behind AXI: IP-XACT (IEEE 1685-2009), as block designs read it."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
VENDOR, LIBRARY, VERSION = "stemcore", "chips", "1.0"
PAGE_BYTES = 4096  # of the registers
_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+)(?:,|\n\);)", re.MULTILINE)


@dataclass(frozen=True)
class Port:
    """A port of a Verilog module."""

    name: str
    direction: str
    width: int


def module_ports(verilog: str, module: str) -> tuple[Port, ...]:
    """Ports of a module whose header has one a line; ``ValueError`` where there is none."""
    _, found, text = verilog.partition(f"\nmodule {module}(\n")
    if not found:
        raise ValueError(f"module {module}: must be in the Verilog, it is not")
    header = text[: text.index(");") + 2]
    return tuple(
        Port(name, direction, int(high or 0) + 1) for direction, high, name in _PORT.findall(header)
    )


@dataclass(frozen=True)
class _Bus:
    """Of a prefix of ports: library and name of its type, and whether it is the one that asks."""

    prefix: str
    library: str
    kind: str
    is_master: bool


_BUSES = (
    _Bus("s_axil", "interface", "aximm", False),
    _Bus("s_axis", "interface", "axis", False),
    _Bus("m_axis", "interface", "axis", True),
)
# Single wires: port, library and name of the type, its logical port, whether it comes out.
_WIRES: tuple[tuple[str, str, str, bool, dict[str, str]], ...] = (
    ("aclk", "clock", "CLK", False, {"ASSOCIATED_BUSIF": "s_axil:s_axis:m_axis"}),
    ("aresetn", "reset", "RST", False, {"POLARITY": "ACTIVE_LOW"}),
    ("chip_clk", "clock", "CLK", False, {}),
    ("interrupt", "interrupt", "INTERRUPT", True, {"SENSITIVITY": "LEVEL_HIGH"}),
)


class _Tree:
    """Elements of the one namespace."""

    def __init__(self) -> None:
        ET.register_namespace("spirit", SPIRIT)
        self.root = ET.Element(f"{{{SPIRIT}}}component")

    def add(self, parent: ET.Element, path: str, text: str = "", **attributes: str) -> ET.Element:
        """Nested elements ``a/b/c`` below ``parent``; returns the last."""
        for name in path.split("/"):
            parent = ET.SubElement(parent, f"{{{SPIRIT}}}{name}")
        if text:
            parent.text = text
        for name, value in attributes.items():
            parent.set(f"{{{SPIRIT}}}{name}", value)
        return parent


def component_xml(ports: Sequence[Port], *, name: str, top: str, files: Sequence[str]) -> str:
    """The description of module ``top``, whose ports are those of ``axi_chip``.

    files : Verilog, by paths relative to that of the description; all are synthesised and simulated
    """
    tree = _Tree()
    root = tree.root
    for tag, text in (
        ("vendor", VENDOR),
        ("library", LIBRARY),
        ("name", name),
        ("version", VERSION),
    ):
        tree.add(root, tag, text)
    buses = tree.add(root, "busInterfaces")
    for bus in _BUSES:
        _bus(tree, buses, bus, ports)
    for port, kind, logical, is_master, parameters in _WIRES:
        _wire(tree, buses, port, kind, logical, is_master, parameters)
    block = tree.add(root, "memoryMaps/memoryMap")
    tree.add(block, "name", "s_axil")
    block = tree.add(block, "addressBlock")
    tree.add(block, "name", "registers")
    tree.add(block, "baseAddress", "0")
    tree.add(block, "range", str(PAGE_BYTES))
    tree.add(block, "width", "32")
    tree.add(block, "usage", "register")
    _model(tree, ports, top)
    for use in ("synthesis", "simulation"):
        group = root.find(f"{{{SPIRIT}}}fileSets")
        group = tree.add(root, "fileSets") if group is None else group
        files_of = tree.add(group, "fileSet")
        tree.add(files_of, "name", use)
        for path in files:
            file = tree.add(files_of, "file")
            tree.add(file, "name", path)
            tree.add(file, "fileType", "verilogSource")
    tree.add(root, "description", "Chip of stemcore behind AXI4-Lite and AXI4-Stream")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _type(tree: _Tree, bus: ET.Element, library: str, kind: str) -> None:
    for tag, suffix in (("busType", ""), ("abstractionType", "_rtl")):
        tree.add(
            bus, tag, vendor="xilinx.com", library=library, name=f"{kind}{suffix}", version="1.0"
        )


def _map(tree: _Tree, bus: ET.Element, pairs: Sequence[tuple[str, str]]) -> None:
    maps = tree.add(bus, "portMaps")
    for logical, physical in pairs:
        pair = tree.add(maps, "portMap")
        tree.add(pair, "logicalPort/name", logical)
        tree.add(pair, "physicalPort/name", physical)


def _bus(tree: _Tree, buses: ET.Element, bus: _Bus, ports: Sequence[Port]) -> None:
    element = tree.add(buses, "busInterface")
    tree.add(element, "name", bus.prefix)
    _type(tree, element, bus.library, bus.kind)
    role = tree.add(element, "master" if bus.is_master else "slave")
    if bus.kind == "aximm":
        tree.add(role, "memoryMapRef", memoryMapRef="s_axil")
    start = f"{bus.prefix}_"
    own = [port.name for port in ports if port.name.startswith(start)]
    _map(tree, element, [(name.removeprefix(start).upper(), name) for name in own])


def _wire(
    tree: _Tree,
    buses: ET.Element,
    port: str,
    kind: str,
    logical: str,
    is_master: bool,
    parameters: dict[str, str],
) -> None:
    element = tree.add(buses, "busInterface")
    tree.add(element, "name", port)
    _type(tree, element, "signal", kind)
    tree.add(element, "master" if is_master else "slave")
    _map(tree, element, [(logical, port)])
    if parameters:
        listed = tree.add(element, "parameters")
        for name, value in parameters.items():
            parameter = tree.add(listed, "parameter")
            tree.add(parameter, "name", name)
            tree.add(parameter, "value", value, id=f"{port}.{name}")


def _model(tree: _Tree, ports: Sequence[Port], top: str) -> None:
    model = tree.add(tree.root, "model")
    views = tree.add(model, "views")
    for name, environment, files in (
        ("synthesis", "verilogSource:vivado.xilinx.com:synthesis", "synthesis"),
        ("simulation", "verilogSource:vivado.xilinx.com:simulation", "simulation"),
    ):
        view = tree.add(views, "view")
        tree.add(view, "name", name)
        tree.add(view, "envIdentifier", environment)
        tree.add(view, "language", "verilog")
        tree.add(view, "modelName", top)
        tree.add(view, "fileSetRef/localName", files)
    listed = tree.add(model, "ports")
    for port in ports:
        element = tree.add(listed, "port")
        tree.add(element, "name", port.name)
        wire = tree.add(element, "wire")
        tree.add(wire, "direction", port.direction.removesuffix("put"))
        if port.width > 1:
            vector = tree.add(wire, "vector")
            tree.add(vector, "left", str(port.width - 1))
            tree.add(vector, "right", "0")
