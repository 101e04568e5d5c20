# SPDX-License-Identifier: Apache-2.0
"""Finds the engines: the files of this package, and those that other packages bring.

An engine of ours is a file beside this one that defines one engine. Another distribution names its
engine class in the entry point group ``stemcore.engines``, under the engine's own name::

    [project.entry-points."stemcore.engines"]
    mine = "my_package.mine:Mine"

An entry point that cannot be used stays out of the way until somebody asks for it by name.
"""

import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from .engine import Engine, Feature, NetworkEngine, ProgramEngine, RunOptions

DEFAULT = "verilator"
GROUP = "stemcore.engines"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass
class _Found:
    """Engines by name, names by alias, and why an entry point cannot be used."""

    engines: dict[str, Engine] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)

    def add(self, engine: Engine) -> None:
        for name in (engine.name, *engine.aliases):
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{type(engine).__qualname__}: a name of an engine must be lower-case letters, "
                    f"digits and underscores, got {name!r}"
                )
            if name in self.engines or name in self.aliases:
                other = self.engines[self.aliases.get(name, name)]
                raise ValueError(
                    f"{type(engine).__qualname__}: its name must be its own, but {name!r} is "
                    f"{type(other).__module__}.{type(other).__qualname__}"
                )
        self.engines[engine.name] = engine
        self.aliases |= dict.fromkeys(engine.aliases, engine.name)


def engines() -> dict[str, Engine]:
    """All engines that can be used, by name, in alphabetical order."""
    return dict(sorted(_find().engines.items()))


def engine_names() -> list[str]:
    """What a user may say: names, then aliases, each in alphabetical order.

    Entry points that cannot be used are among them: :func:`get_engine` tells why.
    """
    found = _find()
    return [*sorted({*found.engines, *found.unusable}), *sorted(found.aliases)]


def describe_engines() -> str:
    """One sentence for help texts: names, aliases and what each engine is."""
    texts = []
    for name, engine in engines().items():
        also = f", also {', '.join(engine.aliases)}" if engine.aliases else ""
        texts.append(f"{name}{also} ({engine.summary})")
    return "; ".join(texts)


def get_engine(name: str) -> ProgramEngine | NetworkEngine:
    """The engine that ``name``, or an alias, means.

    Raises ``ValueError`` for an unknown name, and for one that is known and cannot be used.
    """
    found = _find()
    if name in found.unusable:
        raise ValueError(f"engine {name!r} cannot be used: {found.unusable[name]}")
    engine = found.engines.get(found.aliases.get(name, name))
    if engine is None:
        raise ValueError(f"engine: must be one of {', '.join(engine_names())}; got {name!r}")
    assert isinstance(engine, ProgramEngine | NetworkEngine)
    return engine


def check_options(engine: Engine, options: RunOptions) -> None:
    """Raises ``ValueError`` if ``options`` ask for what ``engine`` cannot do, or contradict."""
    for feature, option in options.needs().items():
        if feature not in engine.features:
            able = engines_with(feature)
            raise ValueError(
                f"{option}: engine {engine.name!r} has none; leave the option out, or choose "
                f"{' or '.join(able) or 'another engine'}"
            )
    if Feature.PORT in engine.features and not options.port:
        raise ValueError(
            f"port: engine {engine.name!r} must be told where the chip is, got none; name it, for "
            "example PORT=/dev/ttyUSB0 (--port /dev/ttyUSB0)"
        )
    if options.waves_nodes is not None and options.waves_dir is None:
        raise ValueError("waves_nodes: must come with waves_dir, the folder for waves; got None")


def engines_with(feature: Feature) -> list[str]:
    """Names of the engines that have ``feature``."""
    return [name for name, engine in engines().items() if feature in engine.features]


def _find() -> _Found:
    found = _Found()
    for module in _modules():
        for engine in _defined_in(module):
            found.add(engine)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            found.add(_load(entry))
        # Whatever a foreign package does while it is imported, our own engines are not hurt.
        except Exception as error:
            reason = f"{_origin(entry)}: {type(error).__name__}: {error}"
            if entry.name in found.engines or entry.name in found.aliases:
                # The name stands for the engine that had it first.
                warnings.warn(f"engine {entry.name!r}: ignored: {reason}", stacklevel=3)
            else:
                found.unusable[entry.name] = reason
    return found


def _modules() -> Iterable[ModuleType]:
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{__package__}.{module.name}")


def _defined_in(module: ModuleType) -> list[Engine]:
    """The engine that a file defines, if it does."""
    classes = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, ProgramEngine | NetworkEngine)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    ]
    if len(classes) > 1:
        names = ", ".join(value.__name__ for value in classes)
        raise ValueError(f"{module.__name__}: one file must hold one engine, got {names}")
    return [value() for value in classes]


def _load(entry: EntryPoint) -> Engine:
    value = entry.load()
    if not (inspect.isclass(value) and issubclass(value, ProgramEngine | NetworkEngine)):
        raise TypeError(f"must be a subclass of ProgramEngine or NetworkEngine, got {value!r}")
    engine: Engine = value()
    if engine.name != entry.name:
        raise ValueError(f"the entry point must have the engine's name {engine.name!r}")
    return engine


def _origin(entry: EntryPoint) -> str:
    name = entry.dist.name if entry.dist is not None else "an unknown distribution"
    return f"{entry.value} of {name}"
