# SPDX-License-Identifier: Apache-2.0
"""What of a program's JSON torch may see: checked piece by piece, and only what is needed.

torch's loader trusts an archive. It evaluates symbolic sizes and guards as Python, looks up
operators by any dotted path, imports types that a tree names, and puts names into code that it
generates and runs. So nothing is handed on that is not of a form named here; metadata that no
compiler needs (guards, namedtuples, call graphs, custom entries) is left behind.
"""

import json
import keyword
import math
import re
from collections.abc import Mapping
from typing import Any

MAX_ELEMENTS = 1 << 31  # of one tensor
_LONGEST_TEXT = 1 << 16
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")

# Operators. Those that compute with tensors alone live in these two libraries; torch's private ones
# trust their arguments, some as far as to write outside a tensor.
_OPERATOR = re.compile(r"torch\.ops\.(aten|quantized_decomposed)\.([A-Za-z0-9_]+)\.([A-Za-z0-9_]+)")
_HAS_EFFECTS = {"from_file", "save", "warn", "set_", "set_data", "resize_", "record_stream"}
_PRIVATE = {
    *("_unsafe_view", "_to_copy", "_softmax", "_log_softmax", "_adaptive_avg_pool2d"),
    *("_native_batch_norm_legit_no_training", "_assert_tensor_metadata", "_assert_scalar"),
}
_SIZE_ARITHMETIC = {
    f"_operator.{name}"
    for name in (
        *("add", "sub", "mul", "floordiv", "mod", "neg", "pow", "truediv", "getitem"),
        *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_"),
    )
} | {"torch.sym_float", "torch.sym_int", "torch.sym_max", "torch.sym_min", "torch.sym_not"}
_WORD = re.compile(r"[A-Za-z_]{0,24}")  # such as a mode of padding
_EINSUM = re.compile(r"[A-Za-z,.> -]{0,64}")

# Symbolic sizes, in the two ways that sympy prints them; powers could take for ever.
_SYMBOL = r"Symbol\('[suz]\d{1,6}'(?:, (?:positive|nonnegative|integer|real)=(?:True|False)){0,4}\)"
_FUNCTIONS = (
    *("Add", "Mul", "Integer", "Max", "Min", "Mod", "PythonMod"),
    *("FloorDiv", "CeilDiv", "CleanDiv", "Eq", "Ne", "Equality", "Unequality"),
    *("GreaterThan", "LessThan", "StrictGreaterThan", "StrictLessThan"),
)
_NAMES = rf"(?:{'|'.join(_FUNCTIONS)})(?=\()"
_TOKEN = re.compile(rf"{_SYMBOL}|{_NAMES}|[suz]\d{{1,6}}|\d{{1,18}}|[-+*/(), <>=]")
_LONGEST_EXPRESSION = 1000

_TREE_TYPES = {"builtins.tuple", "builtins.list", "builtins.dict"}
_DIALECTS = {"TRAINING", "ATEN"}
_CPU = {"type": "cpu", "index": None}


class Refused(ValueError):
    """A part of an archive that is not of an allowed form. The message says what and why."""


def clean_program(document: Any) -> dict[str, Any]:
    """The JSON of one exported program, with nothing in it but what is checked.

    document : parsed JSON of ``models/NAME.json``. Raises ``Refused``.
    """
    module = _field(document, "graph_module", dict)
    graph = _graph(_field(module, "graph", dict))
    entries = _field(module, "module_call_graph", list)
    roots = [entry for entry in entries if isinstance(entry, dict) and entry.get("fqn") == ""]
    if len(roots) != 1:
        raise Refused(f"the call graph must have one root, has {len(roots)}")
    verifiers = document.get("verifiers") or ["TRAINING"]
    if not isinstance(verifiers, list) or not set(map(str, verifiers)) <= _DIALECTS:
        raise Refused(f"the dialect must be one of {sorted(_DIALECTS)}, is {str(verifiers)[:60]!r}")
    return {
        "graph_module": {
            "graph": graph,
            "signature": _signature(_field(module, "signature", dict)),
            "module_call_graph": [{"fqn": "", "signature": _root(roots[0])}],
        },
        "opset_version": {"aten": _integer(_field(document, "opset_version", dict).get("aten"))},
        "range_constraints": {
            _symbol_name(name): {key: _bound(limits.get(key)) for key in ("min_val", "max_val")}
            for name, limits in _field(document, "range_constraints", dict).items()
        },
        "schema_version": {
            key: _integer(_field(document, "schema_version", dict).get(key))
            for key in ("major", "minor")
        },
        "verifiers": verifiers,
        "torch_version": "",
        "guards_code": [],
    }


def clean_tensor_meta(meta: Any) -> dict[str, Any]:
    """Type, sizes and strides of a tensor, on the CPU."""
    sizes = [_size(size) for size in _field(meta, "sizes", list)]
    known = [size["as_int"] for size in sizes if "as_int" in size]
    if any(size < 0 for size in known) or math.prod(known) > MAX_ELEMENTS:
        raise Refused(f"a tensor must have at most 2^31 elements, one has the sizes {known}")
    return {
        "dtype": _integer(meta.get("dtype")),
        "sizes": sizes,
        "requires_grad": meta.get("requires_grad") is True,
        "device": dict(_CPU),
        "strides": [_size(stride) for stride in _field(meta, "strides", list)],
        "storage_offset": _size(_field(meta, "storage_offset", dict)),
        "layout": _integer(meta.get("layout")),
    }


def clean_attribute(name: Any) -> str:
    """The path of a weight: words and numbers between dots, none of Python's own names."""
    text = _text(name)
    if not _ATTRIBUTE.fullmatch(text) or any(part.startswith("__") for part in text.split(".")):
        raise Refused(f"{text[:80]!r} cannot be the name of a weight")
    return text


def clean_expression(text: Any) -> str:
    """A symbolic size: whole numbers, symbols, and arithmetic with them."""
    expression = _text(text)
    position = 0
    while position < len(expression):
        token = _TOKEN.match(expression, position)
        if token is None or "**" in expression:
            break
        position = token.end()
    if position < len(expression) or len(expression) > _LONGEST_EXPRESSION:
        raise Refused(
            f"a symbolic size must be arithmetic of symbols and whole numbers, {expression[:80]!r} "
            "is not; nothing of it was evaluated"
        )
    return expression


# The graph --------------------------------------------------------------------------------------
def _graph(graph: dict[str, Any]) -> dict[str, Any]:
    if graph.get("custom_obj_values"):
        raise Refused("the graph uses objects of Python, which only unpickling could bring back")
    return {
        "inputs": [_argument(one) for one in _field(graph, "inputs", list)],
        "outputs": [_argument(one) for one in _field(graph, "outputs", list)],
        "nodes": [_node(one) for one in _field(graph, "nodes", list)],
        "tensor_values": {
            _name(name): clean_tensor_meta(meta)
            for name, meta in _field(graph, "tensor_values", dict).items()
        },
        "sym_int_values": _symbolic(graph, "sym_int_values", int),
        "sym_bool_values": _symbolic(graph, "sym_bool_values", bool),
        "sym_float_values": _symbolic(graph, "sym_float_values", float),
        "is_single_tensor_return": graph.get("is_single_tensor_return") is True,
    }


def _node(node: Any) -> dict[str, Any]:
    target = _text(_field(node, "target", str))
    if target not in _SIZE_ARITHMETIC and not _is_pure(target):
        raise Refused(f"the graph calls {target[:80]!r}, which is no operator on tensors")
    name = node.get("name")
    return {
        "target": target,
        "inputs": [
            {
                "name": _name(one["name"]) if one["name"] else "",
                "arg": _argument(_field(one, "arg", dict), "einsum" in target),
                "kind": None if one.get("kind") is None else _integer(one["kind"]),
            }
            for one in _field(node, "inputs", list)
        ],
        "outputs": [_argument(one) for one in _field(node, "outputs", list)],
        "metadata": _metadata(node.get("metadata") or {}),
        "is_hop_single_tensor_return": None,
        "name": None if name is None else _name(name),
    }


def _is_pure(target: str) -> bool:
    """Whether an operator does nothing but compute tensors from tensors."""
    call = _OPERATOR.fullmatch(target)
    if call is None or call.group(2) in _HAS_EFFECTS:
        return False
    return not call.group(2).startswith("_") or call.group(2) in _PRIVATE


def _metadata(metadata: Any) -> dict[str, str]:
    """Where a call stood in the model: for messages, and for the names of layers."""
    kept = {}
    for key in ("nn_module_stack", "stack_trace"):
        text = metadata.get(key)
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
            continue
        if all(line.isprintable() for line in text.split("\n")):
            kept[key] = text
    return kept


def _argument(argument: Any, is_einsum: bool = False) -> dict[str, Any]:
    """One value of a call, by its kind."""
    kind, value = _union(argument)
    match kind:
        case "as_none" | "as_bool":
            return {kind: value is True}
        case "as_tensor":
            return {kind: {"name": _name(_field(value, "name", str))}}
        case "as_tensors":
            return {kind: [{"name": _name(_field(one, "name", str))} for one in _list(value)]}
        case "as_int" | "as_scalar_type" | "as_memory_format" | "as_layout":
            return {kind: _integer(value)}
        case "as_ints":
            return {kind: _sizes([_integer(one) for one in _list(value)])}
        case "as_float":
            return {kind: _real(value)}
        case "as_floats":
            return {kind: [_real(one) for one in _list(value)]}
        case "as_bools":
            return {kind: [one is True for one in _list(value)]}
        case "as_string":
            return {kind: _word(value, is_einsum)}
        case "as_device":
            return {kind: dict(_CPU)}
        case "as_sym_int" | "as_sym_float" | "as_sym_bool":
            return {kind: _symbolic_argument(value)}
        case "as_sym_ints":
            clean = [_symbolic_argument(one) for one in _list(value)]
            _sizes([one["as_int"] for one in clean if "as_int" in one])
            return {kind: clean}
        case "as_optional_tensor":
            return {kind: _argument(value)}
        case "as_optional_tensors":
            return {kind: [_argument(one) for one in _list(value)]}
    raise Refused(f"the graph holds an argument of the kind {kind[:40]!r}, which cannot be read")


def _symbolic_argument(value: Any) -> dict[str, Any]:
    kind, inner = _union(value)
    match kind:
        case "as_name":
            return {kind: _name(inner)}
        case "as_int":
            return {kind: _integer(inner)}
        case "as_float":
            return {kind: _real(inner)}
        case "as_bool":
            return {kind: inner is True}
    raise Refused(f"a symbolic argument must be a name or a number, is of the kind {kind[:40]!r}")


def _symbolic(graph: dict[str, Any], field: str, number: type) -> dict[str, Any]:
    found = {}
    for name, value in (graph.get(field) or {}).items():
        kind, inner = _union(value)
        found[_name(name)] = (
            _expression(inner) if kind == "as_expr" else {f"as_{number.__name__}": number(inner)}
        )
    return found


def _size(value: Any) -> dict[str, Any]:
    kind, inner = _union(value)
    if kind == "as_expr":
        return _expression(inner)
    return {"as_int": _integer(inner)}


def _expression(value: Any) -> dict[str, Any]:
    clean: dict[str, Any] = {"expr_str": clean_expression(_field(value, "expr_str", str))}
    hint = value.get("hint")
    if hint is not None:
        kind, inner = _union(hint)
        if kind not in {"as_int", "as_bool", "as_float"}:
            raise Refused(f"the hint of a size must be a number, is of the kind {kind[:40]!r}")
        clean["hint"] = {kind: inner is True if kind == "as_bool" else _real(inner)}
        if kind == "as_int":
            clean["hint"] = {kind: _integer(inner)}
    return {"as_expr": clean}


# The signature ----------------------------------------------------------------------------------
_INPUTS = {
    "parameter": "parameter_name",
    "buffer": "buffer_name",
    "tensor_constant": "tensor_constant_name",
}


def _signature(signature: dict[str, Any]) -> dict[str, Any]:
    return {
        "input_specs": [_input_spec(one) for one in _field(signature, "input_specs", list)],
        "output_specs": [_output_spec(one) for one in _field(signature, "output_specs", list)],
    }


def _input_spec(spec: Any) -> dict[str, Any]:
    kind, value = _union(spec)
    argument = _field(value, "arg", dict) if kind != "constant_input" else {}
    if kind == "user_input":
        return {kind: {"arg": _argument(argument)}}
    if kind in _INPUTS:
        key = _INPUTS[kind]
        clean = {"arg": {"name": _name(_field(argument, "name", str))}}
        clean[key] = clean_attribute(value.get(key))  # type: ignore[assignment]
        if kind == "buffer":
            clean["persistent"] = value.get("persistent") is True  # type: ignore[assignment]
        return {kind: clean}
    raise Refused(f"an input of the program is of the kind {kind[:40]!r}, which cannot be read")


def _output_spec(spec: Any) -> dict[str, Any]:
    kind, value = _union(spec)
    argument = _field(value, "arg", dict)
    if kind == "user_output":
        return {kind: {"arg": _argument(argument)}}
    if kind == "buffer_mutation":
        name = {"name": _name(_field(argument, "name", str))}
        return {kind: {"arg": name, "buffer_name": clean_attribute(value.get("buffer_name"))}}
    raise Refused(f"an output of the program is of the kind {kind[:40]!r}, which cannot be read")


def _root(entry: Mapping[str, Any]) -> dict[str, Any]:
    signature = entry.get("signature")
    names = signature.get("forward_arg_names") if isinstance(signature, dict) else None
    return {
        "inputs": [],
        "outputs": [],
        "in_spec": _tree(_field(signature, "in_spec", str)),
        "out_spec": _tree(_field(signature, "out_spec", str)),
        "forward_arg_names": None if names is None else [_name(name) for name in _list(names)],
    }


def _tree(text: str) -> str:
    """How inputs or outputs are nested: tuples, lists and dictionaries by text."""
    document = json.loads(text)
    if not isinstance(document, list) or len(document) != 2 or document[0] != 1:
        raise Refused("the tree of inputs or outputs must be of version 1")
    return json.dumps([1, _branch(document[1])])


def _branch(tree: Any) -> dict[str, Any]:
    kind = tree.get("type")
    children = [_branch(child) for child in _field(tree, "children_spec", list)]
    if kind is None and not children:
        return {"type": None, "context": None, "children_spec": []}
    if kind not in _TREE_TYPES:
        raise Refused(
            f"inputs and outputs must be tensors in tuples, lists and dictionaries, "
            f"a {str(kind)[:60]} came"
        )
    context = json.loads(_text(tree.get("context")))
    if kind == "builtins.dict":
        context = [_text(key) for key in _list(context)]
    elif context is not None:
        raise Refused(f"a {kind} must have no context, has {str(context)[:60]!r}")
    return {"type": kind, "context": json.dumps(context), "children_spec": children}


# Plain values -----------------------------------------------------------------------------------
def _field(value: Any, name: str, kind: type) -> Any:
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        raise Refused(f"{name!r} must be a {kind.__name__}, is {type(found).__name__}")
    return found


def _union(value: Any) -> tuple[str, Any]:
    if not isinstance(value, dict) or len(value) != 1:
        raise Refused(f"one value of one kind must come, got {str(value)[:60]!r}")
    kind, inner = next(iter(value.items()))
    return kind, inner


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"a list must come, got {str(value)[:60]!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise Refused(f"a text must come, got {str(value)[:60]!r}")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise Refused(f"an integer of 64 bits must come, got {str(value)[:60]!r}")
    return value


def _bound(value: Any) -> int | None:
    return None if value is None else _integer(value)


def _real(value: Any) -> float:
    if isinstance(value, str) and value in {"Infinity", "-Infinity", "NaN"}:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"a number must come, got {str(value)[:60]!r}")
    return float(value)


def _sizes(values: list[int]) -> list[int]:
    if math.prod(max(abs(value), 1) for value in values if abs(value) < 1 << 62) > MAX_ELEMENTS:
        raise Refused(f"sizes must make at most 2^31 elements, got {values}")
    return values


def _name(value: Any) -> str:
    """A name that ends up in generated code: an identifier and nothing else."""
    text = _text(value)
    if not _IDENTIFIER.fullmatch(text) or keyword.iskeyword(text) or text.startswith("__"):
        raise Refused(f"{text[:80]!r} cannot be the name of a value")
    return text


def _symbol_name(value: Any) -> str:
    text = _text(value)
    if not re.fullmatch(r"[suz]\d{1,6}", text):
        raise Refused(f"{text[:80]!r} cannot be the symbol of a size")
    return text


def _word(value: Any, is_einsum: bool) -> str:
    text = _text(value)
    if not (_EINSUM if is_einsum else _WORD).fullmatch(text):
        raise Refused(f"{text[:80]!r} is no option of an operator")
    return text
