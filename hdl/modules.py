# SPDX-License-Identifier: Apache-2.0
"""A component as RTLIL with one module for each kind of component in it.

Amaranth's own conversion makes a module for every instance, whose ports are the signals that happen
to cross its border, under numbered names. Here every component below the top becomes a module whose
ports are its members, and components whose modules have the same text share one.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import Fragment, Instance, Module, Signal
from amaranth.hdl._ast import SignalDict
from amaranth.hdl._ir import Design, IOBufferInstance, PortDirection, RequirePosedge
from amaranth.hdl._mem import MemoryInstance
from amaranth.hdl._xfrm import TransformedElaboratable
from amaranth.lib import wiring

from .names import plain_name, snake_case, without_repeats

_PRIMITIVES = (Instance, IOBufferInstance, MemoryInstance, RequirePosedge)
_KIND = "KIND{}x"  # stands for a module's name until all modules are known
_KINDS = re.compile(r"KIND\d+x")
_ODD_NAME = re.compile(r'\\(?=\w*[^\w\s"\\])[^\s"\\]+')
_ENUM_WIRE = re.compile(
    r'((?:  attribute \\enum_\w+ "[^"]*"\n)+)  wire (?:width \d+ )?(?:\w+ \d+ )*\\(\S+)\n'
)
_ENUM_VALUE = re.compile(r'\\enum_value_([01]+) "([^"]*)"')


@dataclass(frozen=True)
class Converted:
    """A component in RTLIL.

    text : RTLIL of all modules
    modules : the module of every instance by its scope: ``node.core.axon_in`` and the like
    enums : by module and wire, the words that its values stand for
    """

    text: str
    modules: Mapping[str, str]
    enums: Mapping[str, Mapping[str, Mapping[int, str]]]


@dataclass(frozen=True)
class _Kind:
    """A module: the class it is of, the first instance's name, its ports, its text."""

    stem: str
    instance: str
    ports: tuple[tuple[str, str], ...]  # name and direction, in order
    text: str
    inner: tuple[tuple[str, str], ...]  # instance and stand-in of the module's name


def port_names(component: wiring.Component) -> dict[str, tuple[Signal, PortDirection]]:
    """Ports of the module of a component: its members, levels joined by underscores.

    Elements of an array of links are named by the component's ``link_names`` where it has them:
    ``north_i_valid`` instead of ``i_0_valid``. Members without bits have no port.
    """
    ports = {}
    names = getattr(component, "link_names", None)
    for path, member, value in component.signature.flatten(component):
        levels = [str(level) for level in path]
        if names is not None and len(path) > 1 and isinstance(path[1], int):
            levels[:2] = [names[path[1]], levels[0]]
        signal = value.as_value() if hasattr(value, "as_value") else value
        is_input = member.flow == wiring.In
        name = plain_name("_".join(levels))
        if name in ports:
            raise ValueError(
                f"{type(component).__name__}: two members would be port {name}; rename one of them"
            )
        if len(signal):
            ports[name] = signal, PortDirection.Input if is_input else PortDirection.Output
    return ports


def convert(component: wiring.Component, *, name: str, platform: str | None = None) -> Converted:
    """RTLIL of a component as the module ``name``; other modules' names begin with ``name_``."""
    fragment = Fragment.get(component, platform)
    ports = port_names(component)
    design = fragment.prepare(ports, hierarchy=(name,))
    converter = _Converter(design)
    top = converter.add(design.fragment, name, design.ports)
    names = converter.names(top, name)

    def named(text: str) -> str:
        return _KINDS.sub(lambda match: names[match[0]], text)

    enums = {
        names[key]: found for key, kind in converter.kinds.items() if (found := _enums(kind.text))
    }
    texts = [
        kind.text.replace("\\SELF", f"\\{names[key]}") for key, kind in converter.kinds.items()
    ]
    modules = {scope: names[key] for scope, key in converter.scopes(top, name)}
    return Converted(named("\n".join(texts)), modules, enums)


class _Converter:
    """Modules of a prepared design, leaves first."""

    def __init__(self, design: Design):
        self._design = design
        self._original = SignalDict()  # names that signals came with
        self._sub_ports: dict[Fragment, list[tuple[str, Signal, PortDirection]]] = {}
        self._keys: dict[tuple[str, str], str] = {}
        self.kinds: dict[str, _Kind] = {}

    def add(self, fragment, instance, ports=None) -> str | None:
        """The stand-in of the module of a fragment; None where there is no gate in it."""
        component = _component(fragment)
        if ports is None:
            ports = self._ports(fragment, component)
        self._sub_ports[fragment] = ports
        inner, links = [], SignalDict()
        subfragments = []
        for sub, sub_name, src_loc in fragment.subfragments:
            key = None if isinstance(sub, _PRIMITIVES) else self.add(sub, sub_name)
            if key is None:
                subfragments.append((sub, sub_name, src_loc))
                continue
            inner.append((sub_name, key))
            connections = []
            for port, signal, way in self._sub_ports[sub]:
                connections.append((way.value[0], port, signal))
                # A wire is named after the instance that drives it.
                if signal not in links or way == PortDirection.Output:
                    links[signal] = f"{plain_name(sub_name)}_{port}"
            subfragments.append((Instance(key, *connections), plain_name(sub_name), src_loc))
        fragment.subfragments = subfragments
        stem = _stem(fragment, instance)
        fragment.origins = None  # what a design may hold once only
        text = self._text(fragment, ports, links, {plain_name(name) for name, _ in inner})
        if text is None:
            return None
        if (stem, text) not in self._keys:
            key = self._keys[stem, text] = _KIND.format(len(self._keys))
            shown = tuple((name, way.value) for name, _, way in ports)
            self.kinds[key] = _Kind(stem, instance, shown, text, tuple(inner))
        return self._keys[stem, text]

    def _ports(self, fragment, component) -> list[tuple[str, Signal, PortDirection]]:
        """Members of the component, and further signals that cross the border of its module."""
        members = port_names(component) if component is not None else {}
        ports = [(name, signal, way) for name, (signal, way) in members.items()]
        known = SignalDict((signal, None) for _, signal, _ in ports)
        taken = {name for name, _, _ in ports}
        info = self._design.fragments[fragment]
        outside = self._design.fragments[info.parent].used_signals
        driven = _driven(fragment)
        for signal in info.used_signals:
            if signal in outside and signal not in known:
                is_output = signal in driven
                name = without_repeats(plain_name(self._name(signal)), taken)
                ports.append(
                    (name, signal, PortDirection.Output if is_output else PortDirection.Input)
                )
        return ports

    def _name(self, signal: Signal) -> str:
        return self._original.setdefault(signal, signal.name)

    def _text(self, fragment, ports, links, instances: set[str]) -> str | None:
        """RTLIL of one module, called SELF; its wires have plain names, each once."""
        used = Design(fragment, ports, hierarchy=("SELF",)).fragments[fragment].used_signals
        taken = {name for name, _, _ in ports} | instances
        named = SignalDict((signal, name) for name, signal, _ in ports)
        for signal in used:
            original = self._name(signal)
            if signal not in named and original:
                name = plain_name(links.get(signal, original))
                named[signal] = without_repeats(name, taken)
        for signal, name in named.items():
            self._name(signal)
            signal.name = name
            signal.attrs.update(_state_words(signal))
        design = Design(fragment, ports, hierarchy=("SELF",))
        text, _ = rtlil.convert_fragment(design, emit_src=False)
        for signal in named:
            signal.name = self._original[signal]
        if "module \\SELF\n" not in text:
            return None
        return _plain_wires(text.replace("attribute \\top 1\n", ""), taken)

    def names(self, top: str, name: str) -> dict[str, str]:
        """Names of the modules by their stand-ins."""
        stems: dict[str, list[str]] = {}
        for key, kind in self.kinds.items():
            stems.setdefault(kind.stem, []).append(key)
        taken = {name}
        names = {top: name}
        for stem, keys in stems.items():
            for key in keys:
                if key == top:
                    continue
                instance = re.sub(r"_0$", "", self.kinds[key].instance)
                last = "" if len(keys) == 1 else _tail(stem, instance)
                names[key] = without_repeats(f"{name}_{stem}{last}", taken)
        return names

    def scopes(self, key: str, scope: str) -> Iterator[tuple[str, str]]:
        """Every instance below a module, and the stand-in of its module's name."""
        yield scope, key
        for instance, inner in self.kinds[key].inner:
            yield from self.scopes(inner, f"{scope}.{instance}")


def _tail(stem: str, instance: str) -> str:
    """What tells one of several modules of a class from the others: an instance's name."""
    words = instance.split("_")
    own = [word for word in words if word not in stem.split("_")]
    return "".join(f"_{word}" for word in own)


def _component(fragment) -> wiring.Component | None:
    found = (origin for origin in fragment.origins or () if isinstance(origin, wiring.Component))
    return next(found, None)


def _stem(fragment, instance: str) -> str:
    """The class that a module is of; where it is none of its own, the instance's name."""
    for origin in fragment.origins or ():
        if not isinstance(origin, Module | TransformedElaboratable):
            return snake_case(type(origin).__name__)
    return instance


def _driven(fragment) -> SignalDict:
    """Signals that a fragment, or one below it, gives their value."""
    found = SignalDict()
    values = []
    if isinstance(fragment, Instance):
        values += [value for value, kind in fragment.ports.values() if kind == "o"]
    elif isinstance(fragment, MemoryInstance):
        values += [port._data for port in fragment._read_ports]
    elif isinstance(fragment, IOBufferInstance):
        values += [fragment.i] if fragment.i is not None else []
    for statements in fragment.statements.values():
        values += list(statements._lhs_signals())
    for value in values:
        for signal in value._lhs_signals():
            found[signal] = None
    for sub, _, _ in fragment.subfragments:
        for signal in _driven(sub):
            found[signal] = None
    return found


def _plain_wires(text: str, taken: set[str]) -> str:
    """RTLIL whose wires have names that need no escape in Verilog: ``word.x`` is ``word_x``."""
    names: dict[str, str] = {}

    def plain(match: re.Match[str]) -> str:
        odd = match[0]
        if odd not in names:
            names[odd] = without_repeats(plain_name(re.sub(r"\W+", "_", odd[1:]).strip("_")), taken)
        return "\\" + names[odd]

    return _ODD_NAME.sub(plain, text)


def _state_words(signal: Signal) -> dict[str, str]:
    """Attributes that say what an FSM's states are called, as those of an enumeration do."""
    if signal.decoder is None or isinstance(signal.decoder, type):
        return {}
    words = {}
    for value in range(1 << len(signal)):
        try:
            word = signal.decoder(value)
        except KeyError:  # no state has this number
            continue
        words[f"enum_value_{value:0{len(signal)}b}"] = word.rpartition("/")[0]
    return words


def _enums(text: str) -> dict[str, dict[int, str]]:
    found = {}
    for attributes, wire in _ENUM_WIRE.findall(text):
        values = {int(bits, 2): word for bits, word in _ENUM_VALUE.findall(attributes)}
        if values:
            found[wire] = values
    return found
