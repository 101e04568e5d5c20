# SPDX-License-Identifier: Apache-2.0
"""Texts that are written beside Verilog: runtime/host/templates, ``$name`` in them filled in."""

from pathlib import Path
from string import Template

TEMPLATES = Path(__file__).parent / "templates"


def filled(name: str, **values: object) -> str:
    """A text of ``TEMPLATES``; all of its ``$names`` must be given, and no others."""
    template = Template((TEMPLATES / name).read_text())
    assert set(template.get_identifiers()) == values.keys()
    return template.substitute(values)
