# SPDX-License-Identifier: Apache-2.0
"""Quantized neural networks run bit for bit by spiking neurons on a mesh of cores.

::

    import stemcore

    compiled = stemcore.compile(module, calibration=images)
    print(compiled.estimate())
    result = compiled.run(images, engine="rtl")

The rooms ``golden``, ``hdl``, ``compiler``, ``models``, ``runtime`` and ``benchmarks`` are folders
beside this one in the repository and subpackages of it once installed (pyproject.toml maps them).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runtime.compiled import Compiled, compile, load
    from .runtime.result import Result

__all__ = ["Compiled", "Result", "compile", "load"]

_HOMES = {
    "Compiled": "compiled",
    "Result": "result",
    "compile": "compiled",
    "load": "compiled",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when somebody asks for them; the package itself loads at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.runtime.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
