# SPDX-License-Identifier: Apache-2.0
"""The page of report.json."""

import re
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from markup import markdown, table, text

from stemcore.runtime.report import schema


def report() -> str:
    """The page of report.json: every object and its fields."""
    parts = [
        "# report.json\n",
        text(
            f"Written from `runtime/report/schema.py`, version {schema.SCHEMA_VERSION} "
            "(`schema_version`). A run's report is held to this definition before it is written, "
            "and so is a report that is read. `json_schema()` of that module gives the same as a "
            "JSON Schema for other programs."
        ),
        text(
            "*null*: the field may be null, where the figure could not be measured. *may be "
            "absent*: the field is there only where the engine has such a thing."
        ),
    ]
    for kind in _objects(schema.Report):
        text_before, meanings = _described(kind)
        rows = [
            (f"`{field.encode_name}`", *_type(field), meanings.get(field.encode_name, ""))
            for field in msgspec.structs.fields(kind)
        ]
        head = ("field", "type", "", "meaning")
        parts.append(f"## {kind.__name__}\n\n{text_before}\n\n{table(head, rows)}")
    return "\n".join(parts)


def _described(kind: type) -> tuple[str, dict[str, str]]:
    """What a docstring says of the whole, and in lines ``name, name : meaning`` of the fields."""
    lines, meanings, names = [], {}, []
    for line in markdown(kind.__doc__).splitlines():
        if match := re.match(r"(\w+(?:, \w+)*) : (.*)", line):
            names = match[1].split(", ")
            meanings |= dict.fromkeys(names, match[2])
        elif names and line.startswith(" "):
            meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
        else:
            names = []
            lines.append(line)
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    for name, meaning in list(meanings.items()):  # "..; other: what that is" in the same line
        own, *others = re.split(r"; (\w+): ", meaning)
        if others and others[0] in known:
            meanings |= {name: own, others[0]: others[1]}
    return "\n".join(lines), meanings


def _objects(first: type) -> list[type]:
    """All structures that a report consists of, outer ones before inner ones."""
    found = [first]
    for kind in found:
        for field in msgspec.structs.fields(kind):
            found += [part for part in _parts(field.type) if part not in found]
    return found


def _parts(kind: object) -> list[type]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [part for inner in get_args(kind) for part in _parts(inner)]


def _type(field: msgspec.structs.FieldInfo) -> tuple[str, str]:
    """A field's type in JSON's words, and when it is null or absent."""
    inner = get_args(field.type) if _is_union(field.type) else (field.type,)
    notes = []
    if type(None) in inner:
        notes.append("null")
    if msgspec.UnsetType in inner:
        notes.append("may be absent")
    kinds = [kind for kind in inner if kind not in (type(None), msgspec.UnsetType)]
    return " or ".join(_json(kind) for kind in kinds), ", ".join(notes)


def _is_union(kind: object) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _json(kind: object) -> str:
    plain: dict[object, str] = {
        Any: "any",
        str: "string",
        int: "integer",
        float: "number",
        bool: "boolean",
    }
    if kind in plain:
        return plain[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    inner = get_args(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        return _json(inner[0]) + _bounds(inner[1])
    if origin is dict:
        return f"object of {_json(inner[1])}"
    if origin is list:
        return f"list of {_json(inner[0])}"
    if origin is tuple:
        kinds = {_json(part) for part in inner}
        return f"list of {len(inner)}: " + ", ".join(sorted(kinds))
    if _is_union(kind):
        return " or ".join("null" if part is type(None) else _json(part) for part in inner)
    raise TypeError(f"report.json: no words for {kind}")


def _bounds(meta: msgspec.Meta) -> str:
    if meta.pattern:
        return f" `{meta.pattern}`"
    return f" {meta.ge}..{meta.le}" if meta.le is not None else f", {meta.ge} or more"
