# SPDX-License-Identifier: Apache-2.0
"""What of a program's JSON torch may see: checked piece by piece, and only what is needed.

torch's loader trusts an archive. It evaluates symbolic sizes and guards as Python, looks up
operators by any dotted path, imports types that a tree names, and puts names into code that it
generates and runs. So nothing is handed on that is not of a form named here; metadata that no
compiler needs (guards, namedtuples, call graphs, custom entries) is left behind.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from .clean_values import (
    LONGEST_TEXT,
    MAX_ELEMENTS,
    Refused,
    a_bound,
    a_field,
    a_list,
    a_name,
    a_real,
    a_symbol,
    a_text,
    a_union,
    a_word,
    an_integer,
    some_sizes,
)

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


def clean_program(document: Any) -> dict[str, Any]:
    """The JSON of one exported program, with nothing in it but what is checked.

    document : parsed JSON of ``models/NAME.json``. Raises ``Refused``.
    """
    module = a_field(document, "graph_module", dict)
    graph = _graph(a_field(module, "graph", dict))
    entries = a_field(module, "module_call_graph", list)
    roots = [entry for entry in entries if isinstance(entry, dict) and entry.get("fqn") == ""]
    if len(roots) != 1:
        raise Refused(f"the call graph must have one root, has {len(roots)}")
    verifiers = document.get("verifiers") or ["TRAINING"]
    if not isinstance(verifiers, list) or not set(map(str, verifiers)) <= _DIALECTS:
        raise Refused(f"the dialect must be one of {sorted(_DIALECTS)}, is {str(verifiers)[:60]!r}")
    return {
        "graph_module": {
            "graph": graph,
            "signature": _signature(a_field(module, "signature", dict)),
            "module_call_graph": [{"fqn": "", "signature": _root(roots[0])}],
        },
        "opset_version": {"aten": an_integer(a_field(document, "opset_version", dict).get("aten"))},
        "range_constraints": {
            a_symbol(name): {key: a_bound(limits.get(key)) for key in ("min_val", "max_val")}
            for name, limits in a_field(document, "range_constraints", dict).items()
        },
        "schema_version": {
            key: an_integer(a_field(document, "schema_version", dict).get(key))
            for key in ("major", "minor")
        },
        "verifiers": verifiers,
        "torch_version": "",
        "guards_code": [],
    }


def clean_tensor_meta(meta: Any) -> dict[str, Any]:
    """Type, sizes and strides of a tensor, on the CPU."""
    sizes = [_size(size) for size in a_field(meta, "sizes", list)]
    known = [size["as_int"] for size in sizes if "as_int" in size]
    if any(size < 0 for size in known) or math.prod(known) > MAX_ELEMENTS:
        raise Refused(f"a tensor must have at most 2^31 elements, one has the sizes {known}")
    return {
        "dtype": an_integer(meta.get("dtype")),
        "sizes": sizes,
        "requires_grad": meta.get("requires_grad") is True,
        "device": dict(_CPU),
        "strides": [_size(stride) for stride in a_field(meta, "strides", list)],
        "storage_offset": _size(a_field(meta, "storage_offset", dict)),
        "layout": an_integer(meta.get("layout")),
    }


def clean_attribute(name: Any) -> str:
    """The path of a weight: words and numbers between dots, none of Python's own names."""
    text = a_text(name)
    if not _ATTRIBUTE.fullmatch(text) or any(part.startswith("__") for part in text.split(".")):
        raise Refused(f"{text[:80]!r} cannot be the name of a weight")
    return text


def clean_expression(text: Any) -> str:
    """A symbolic size: whole numbers, symbols, and arithmetic with them."""
    expression = a_text(text)
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
        "inputs": [_argument(one) for one in a_field(graph, "inputs", list)],
        "outputs": [_argument(one) for one in a_field(graph, "outputs", list)],
        "nodes": [_node(one) for one in a_field(graph, "nodes", list)],
        "tensor_values": {
            a_name(name): clean_tensor_meta(meta)
            for name, meta in a_field(graph, "tensor_values", dict).items()
        },
        "sym_int_values": _symbolic(graph, "sym_int_values", int),
        "sym_bool_values": _symbolic(graph, "sym_bool_values", bool),
        "sym_float_values": _symbolic(graph, "sym_float_values", float),
        "is_single_tensor_return": graph.get("is_single_tensor_return") is True,
    }


def _node(node: Any) -> dict[str, Any]:
    target = a_text(a_field(node, "target", str))
    if target not in _SIZE_ARITHMETIC and not _is_pure(target):
        raise Refused(f"the graph calls {target[:80]!r}, which is no operator on tensors")
    name = node.get("name")
    return {
        "target": target,
        "inputs": [
            {
                "name": a_name(one["name"]) if one["name"] else "",
                "arg": _argument(a_field(one, "arg", dict), "einsum" in target),
                "kind": None if one.get("kind") is None else an_integer(one["kind"]),
            }
            for one in a_field(node, "inputs", list)
        ],
        "outputs": [_argument(one) for one in a_field(node, "outputs", list)],
        "metadata": _metadata(node.get("metadata") or {}),
        "is_hop_single_tensor_return": None,
        "name": None if name is None else a_name(name),
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
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            continue
        if all(line.isprintable() for line in text.split("\n")):
            kept[key] = text
    return kept


def _argument(argument: Any, is_einsum: bool = False) -> dict[str, Any]:
    """One value of a call, by its kind."""
    kind, value = a_union(argument)
    match kind:
        case "as_none" | "as_bool":
            return {kind: value is True}
        case "as_tensor":
            return {kind: {"name": a_name(a_field(value, "name", str))}}
        case "as_tensors":
            return {kind: [{"name": a_name(a_field(one, "name", str))} for one in a_list(value)]}
        case "as_int" | "as_scalar_type" | "as_memory_format" | "as_layout":
            return {kind: an_integer(value)}
        case "as_ints":
            return {kind: some_sizes([an_integer(one) for one in a_list(value)])}
        case "as_float":
            return {kind: a_real(value)}
        case "as_floats":
            return {kind: [a_real(one) for one in a_list(value)]}
        case "as_bools":
            return {kind: [one is True for one in a_list(value)]}
        case "as_string":
            return {kind: a_word(value, is_einsum)}
        case "as_device":
            return {kind: dict(_CPU)}
        case "as_sym_int" | "as_sym_float" | "as_sym_bool":
            return {kind: _symbolic_argument(value)}
        case "as_sym_ints":
            clean = [_symbolic_argument(one) for one in a_list(value)]
            some_sizes([one["as_int"] for one in clean if "as_int" in one])
            return {kind: clean}
        case "as_optional_tensor":
            return {kind: _argument(value)}
        case "as_optional_tensors":
            return {kind: [_argument(one) for one in a_list(value)]}
    raise Refused(f"the graph holds an argument of the kind {kind[:40]!r}, which cannot be read")


def _symbolic_argument(value: Any) -> dict[str, Any]:
    kind, inner = a_union(value)
    match kind:
        case "as_name":
            return {kind: a_name(inner)}
        case "as_int":
            return {kind: an_integer(inner)}
        case "as_float":
            return {kind: a_real(inner)}
        case "as_bool":
            return {kind: inner is True}
    raise Refused(f"a symbolic argument must be a name or a number, is of the kind {kind[:40]!r}")


def _symbolic(graph: dict[str, Any], field: str, number: type) -> dict[str, Any]:
    found = {}
    for name, value in (graph.get(field) or {}).items():
        kind, inner = a_union(value)
        found[a_name(name)] = (
            _expression(inner) if kind == "as_expr" else {f"as_{number.__name__}": number(inner)}
        )
    return found


def _size(value: Any) -> dict[str, Any]:
    kind, inner = a_union(value)
    if kind == "as_expr":
        return _expression(inner)
    return {"as_int": an_integer(inner)}


def _expression(value: Any) -> dict[str, Any]:
    clean: dict[str, Any] = {"expr_str": clean_expression(a_field(value, "expr_str", str))}
    hint = value.get("hint")
    if hint is not None:
        kind, inner = a_union(hint)
        if kind not in {"as_int", "as_bool", "as_float"}:
            raise Refused(f"the hint of a size must be a number, is of the kind {kind[:40]!r}")
        clean["hint"] = {kind: inner is True if kind == "as_bool" else a_real(inner)}
        if kind == "as_int":
            clean["hint"] = {kind: an_integer(inner)}
    return {"as_expr": clean}


# The signature ----------------------------------------------------------------------------------
_INPUTS = {
    "parameter": "parameter_name",
    "buffer": "buffer_name",
    "tensor_constant": "tensor_constant_name",
}


def _signature(signature: dict[str, Any]) -> dict[str, Any]:
    return {
        "input_specs": [_input_spec(one) for one in a_field(signature, "input_specs", list)],
        "output_specs": [_output_spec(one) for one in a_field(signature, "output_specs", list)],
    }


def _input_spec(spec: Any) -> dict[str, Any]:
    kind, value = a_union(spec)
    argument = a_field(value, "arg", dict) if kind != "constant_input" else {}
    if kind == "user_input":
        return {kind: {"arg": _argument(argument)}}
    if kind in _INPUTS:
        key = _INPUTS[kind]
        clean = {"arg": {"name": a_name(a_field(argument, "name", str))}}
        clean[key] = clean_attribute(value.get(key))  # type: ignore[assignment]
        if kind == "buffer":
            clean["persistent"] = value.get("persistent") is True  # type: ignore[assignment]
        return {kind: clean}
    raise Refused(f"an input of the program is of the kind {kind[:40]!r}, which cannot be read")


def _output_spec(spec: Any) -> dict[str, Any]:
    kind, value = a_union(spec)
    argument = a_field(value, "arg", dict)
    if kind == "user_output":
        return {kind: {"arg": _argument(argument)}}
    if kind == "buffer_mutation":
        name = {"name": a_name(a_field(argument, "name", str))}
        return {kind: {"arg": name, "buffer_name": clean_attribute(value.get("buffer_name"))}}
    raise Refused(f"an output of the program is of the kind {kind[:40]!r}, which cannot be read")


def _root(entry: Mapping[str, Any]) -> dict[str, Any]:
    signature = entry.get("signature")
    names = signature.get("forward_arg_names") if isinstance(signature, dict) else None
    return {
        "inputs": [],
        "outputs": [],
        "in_spec": _tree(a_field(signature, "in_spec", str)),
        "out_spec": _tree(a_field(signature, "out_spec", str)),
        "forward_arg_names": None if names is None else [a_name(name) for name in a_list(names)],
    }


def _tree(text: str) -> str:
    """How inputs or outputs are nested: tuples, lists and dictionaries by text."""
    document = json.loads(text)
    if not isinstance(document, list) or len(document) != 2 or document[0] != 1:
        raise Refused("the tree of inputs or outputs must be of version 1")
    return json.dumps([1, _branch(document[1])])


def _branch(tree: Any) -> dict[str, Any]:
    kind = tree.get("type")
    children = [_branch(child) for child in a_field(tree, "children_spec", list)]
    if kind is None and not children:
        return {"type": None, "context": None, "children_spec": []}
    if kind not in _TREE_TYPES:
        raise Refused(
            f"inputs and outputs must be tensors in tuples, lists and dictionaries, "
            f"a {str(kind)[:60]} came"
        )
    context = json.loads(a_text(tree.get("context")))
    if kind == "builtins.dict":
        context = [a_text(key) for key in a_list(context)]
    elif context is not None:
        raise Refused(f"a {kind} must have no context, has {str(context)[:60]!r}")
    return {"type": kind, "context": json.dumps(context), "children_spec": children}
