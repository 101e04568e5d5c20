# SPDX-License-Identifier: Apache-2.0
"""Reads a torch module into the IR, through ``torch.export``."""

import logging
import sysconfig
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

from stemcore.golden.network.results import Output, Results

from ..errors import CaptureError
from ..input_parts import InputSizes, as_input_shape, is_several, pack, unpack
from .capture_moves import EXAMPLE_IMAGES
from .capture_precision import describe_cast, in_float32
from .capture_reader import Reader
from .capture_results import is_plain, read_structure
from .capture_steps import check_formats
from .capture_tail import find_tails
from .capture_training import describe_training
from .fx import (
    TORCH_FILE,
)
from .graph import Graph, check_graph
from .ops.fake_quantize import FakeQuantize
from .ops.operator import Unsupported
from .passes.flat_norm import fold_flat_norm
from .passes.products import fold_products
from .run_graph import run_graph


def capture(
    model: "torch.nn.Module | torch.export.ExportedProgram",
    input_shape: Sequence[int] | InputSizes | None = None,
    name: str = "network",
) -> Graph:
    """The float graph of a module in evaluation mode, or of an exported program.

    Operators without a spiking form become ``Unsupported`` nodes, so that the compatibility check
    can report all of them at once. Dropout and identities are gone. Parameters of other float types
    are read as float32, layers of an exported program in training mode as in evaluation; notes of
    the graph say so.

    Parameters
    ----------
    model : torch.nn.Module or torch.export.ExportedProgram
        Takes float tensors (N, C, H, W), (N, C, L) or (N, F) and returns one tensor, or tuples,
        lists and dicts of tensors.
    input_shape : (C, H, W), (C, L) or (F,), or of several inputs a tuple or a dict of these
        May be left out for an exported program. The graph has the shape (C, 1, L) or (F, 1, 1), of
        several inputs that of all of them (:mod:`stemcore.compiler.input_parts`).
    name : str
        Of the network, for reports.

    Raises
    ------
    CaptureError
        Where the module cannot be exported, is in training mode, takes something
        else than tensors, or is quantized in a way that cannot be read.
    """
    if isinstance(model, torch.nn.Module):
        if input_shape is None:
            raise CaptureError("capture", "a module needs input_shape=(C, H, W), none came")
        input_shape = as_input_shape(input_shape)
        model, note = in_float32(model)
        program = _export(model, input_shape)
    elif isinstance(model, torch.export.ExportedProgram):
        program = model
        note = describe_cast(t for t in program.state_dict.values() if isinstance(t, torch.Tensor))
    else:
        raise CaptureError(
            "capture",
            "model must be a torch.nn.Module or torch.export.ExportedProgram, "
            f"got {type(model).__name__}",
        )
    check_formats(program)
    is_live = isinstance(model, torch.nn.Module) and not _is_exported(model)
    reader = Reader(program, is_live=is_live)
    graph = fold_products(check_graph(_read(program, reader, input_shape, name)))
    graph = fold_flat_norm(graph)
    in_training = [] if is_live else describe_training(program)
    graph = replace(graph, notes=(*([note] if note else []), *in_training))
    if isinstance(model, torch.nn.Module) and input_shape is not None and not in_training:
        _check_function(model, graph, input_shape)
    return graph


def _export(
    module: torch.nn.Module, shape: Sequence[int] | InputSizes
) -> torch.export.ExportedProgram:
    training = [name or "the module" for name, m in module.named_modules() if m.training]
    if training and not _is_exported(module):
        raise CaptureError(
            training[0], "must be in evaluation mode, is in training mode", "call .eval() first"
        )
    if isinstance(shape, Mapping) or is_several(shape):
        shapes = _several(cast(InputSizes, shape)) or []
    else:
        shapes = [cast(Sequence[int], shape)]
    for one in shapes:
        _check_shape("capture", one)
    failure: Exception | None = None
    # Two images show that the batch stays a batch; some modules are written for one alone.
    for n_images in _batch_sizes(module):
        examples = tuple(torch.zeros(n_images, *one) for one in shapes)
        keywords = dict(zip(shape, examples, strict=True)) if isinstance(shape, Mapping) else None
        try:
            with _quiet_torch(), torch.no_grad():
                return torch.export.export(module, () if keywords else examples, keywords)
        except Exception as error:  # torch.export raises anything that the module raises
            failure = failure or error
    first_line = str(failure).strip().splitlines()[0] if str(failure).strip() else repr(failure)
    raise CaptureError(
        "capture",
        "torch.export must accept the module with an input of shape "
        f"{' and '.join(_batch(one) for one in shapes)}, it raised {type(failure).__name__}"
        f"{_raised_at(failure)}: {first_line}",
        "check the input shape; take data-dependent Python out of forward()",
    ) from failure


def _batch(sizes: Sequence[int]) -> str:
    return f"({', '.join(map(str, ('N', *sizes)))})"


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """Without what torch.export says of its own internals, and without the graphs that it prints
    where it fails: the error has what the user needs."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _raised_at(error: Exception | None) -> str:
    """ " at FILE:LINE" of the user's code, where the error passed through it."""
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    own = [f for f in frames if not _is_librarys(f.filename)]
    return f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def _is_librarys(path: str) -> bool:
    """Whether a file is no code of the user's: torch's, Python's, or this one."""
    python = sysconfig.get_paths()["stdlib"]
    return path == __file__ or path.startswith(python) or TORCH_FILE.search(path) is not None


def _batch_sizes(module: torch.nn.Module) -> tuple[int, ...]:
    """Numbers of images to try: the one that a graph was exported for, where there is one."""
    if isinstance(module, torch.fx.GraphModule):
        inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
        sizes = tuple(getattr(inputs[0].meta.get("val"), "shape", ())) if inputs else ()
        if sizes and isinstance(sizes[0], int):
            return (sizes[0],)
    return EXAMPLE_IMAGES, 1


def _is_exported(module: torch.nn.Module) -> bool:
    """Whether it is a graph of operators, which hold their mode; its own flag then says nothing."""
    if not isinstance(module, torch.fx.GraphModule):
        return False
    return all(n.op != "call_module" or n.target == "_guards_fn" for n in module.graph.nodes)


def _check_function(
    module: torch.nn.Module, graph: Graph, sizes: Sequence[int] | InputSizes
) -> None:
    """Raises unless the graph computes what the module computes, on noise."""
    if any(isinstance(node.op, Unsupported) for node in graph.nodes):
        return
    n_images = min(_batch_sizes(module))
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(n_images, *graph.input_shape, generator=generator) * 2 - 1
    with torch.no_grad():
        if graph.parts:
            tensors = unpack(noise, graph.parts)
            noise = torch.from_numpy(pack([tensor.numpy() for tensor in tensors], graph.parts))
            by_name = dict(zip(sizes, tensors, strict=True)) if isinstance(sizes, Mapping) else {}
            returned = module(**by_name) if by_name else module(*tensors)
        else:
            assert not isinstance(sizes, Mapping)
            returned = module(noise.reshape(n_images, *sizes))
    values = run_graph(graph, noise)
    found = [output.final(values[output.source].double().numpy()) for output in graph.outputs]
    leaves = [leaf for leaf in tree_leaves(returned) if leaf is not None]
    for tensor, one in zip(leaves, found, strict=False):
        _check_output(graph, tensor, one[0] if isinstance(one, tuple) else one)


def _check_output(graph: Graph, returned: torch.Tensor, found: Any) -> None:
    expected, got = returned.flatten(), torch.from_numpy(np.asarray(found)).flatten()
    if not expected.is_floating_point():
        return  # an index, which rounding may change where values are nearly equal
    if not torch.isfinite(expected).all():
        return  # the compatibility check names the weights
    difference, largest = float((got - expected).abs().max()), float(expected.abs().max())
    # A sum beside a tie may round to the neighbour, and what follows builds on it.
    is_rounded = any(isinstance(node.op, FakeQuantize) for node in graph.nodes)
    if difference > (0.1 if is_rounded else 1e-3) * max(largest, 1e-3):
        raise CaptureError(
            "capture",
            "the captured graph must compute what the module computes, differs by "
            f"{difference:.3g} where outputs reach {largest:.3g}",
            "report the module; until then rewrite it with plain torch.nn layers",
        )


def _check_shape(where: str, shape: Any) -> None:
    sizes = tuple(shape)
    if not 1 <= len(sizes) <= 3 or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise CaptureError(
            where,
            "input_shape must be positive sizes (C, H, W), (C, L) or (F,), without the batch, "
            f"got {shape}",
        )


def _read(
    program: torch.export.ExportedProgram,
    reader: Reader,
    input_shape: Sequence[int] | InputSizes | None,
    graph_name: str,
) -> Graph:
    signature = program.graph_signature
    by_name = {node.name: node for node in program.graph.nodes}
    names = tuple(None if name is None else str(name) for name in signature.user_outputs)
    given = [name for name in names if name is not None]
    tails = find_tails([by_name.get(name) for name in given])
    of_host = {node for tail in tails for node in tail}
    inputs = _inputs(program)
    for fx_node in program.graph.nodes:
        if fx_node in of_host:
            continue
        if fx_node is inputs[-1]:  # all placeholders come first
            if len(inputs) == 1:
                reader.begin(fx_node, _only(input_shape))
            else:
                reader.begin_parts(inputs, _several(input_shape))
        elif fx_node.op == "call_function":
            reader.read(fx_node)
    if not given:
        raise CaptureError("capture", "the network must return a tensor, returns none")
    spec = program.call_spec.out_spec
    is_pair = len(given) == 2 and bool(tails[0]) and tails[0][-1].name == given[1]
    if is_pair or (len(given) == 1 and (spec is None or is_plain(spec))):
        output, steps = reader.output(given[0], tails[0])
        nodes = tuple(reader.nodes)
        return Graph(
            graph_name, reader.input_shape, nodes, output, steps, parts=reader.parts
        ).with_nodes(nodes)
    structure, paths = read_structure(spec, names)
    found = [
        Output(path, *reader.output(name, tail, path), _sizes_before(tail, by_name[name]))
        for path, name, tail in zip(paths, given, tails, strict=True)
    ]
    nodes = tuple(reader.nodes)
    return Graph(
        graph_name,
        reader.input_shape,
        nodes,
        found[0].source,
        results=Results(tuple(found), structure),
        parts=reader.parts,
    ).with_nodes(nodes)


def _inputs(program: torch.export.ExportedProgram) -> list[Any]:
    """Placeholders of the program's inputs; all must be tensors."""
    names = [str(name) for name in program.graph_signature.user_inputs]
    inputs = [node for node in program.graph.nodes if node.name in names]
    others = [node for node in inputs if not isinstance(node.meta.get("val"), torch.Tensor)]
    if not inputs or others or len(inputs) < len(names):
        came = ", ".join(f"{n.name}, a {type(n.meta.get('val')).__name__}" for n in others)
        raise CaptureError(
            "capture",
            f"the network must take tensors alone, takes {came or 'none'}",
            "make what is no tensor an attribute of the module",
        )
    return inputs


def _only(shape: Sequence[int] | InputSizes | None) -> Sequence[int] | None:
    """The sizes of the only input, however they were given."""
    if isinstance(shape, Mapping):
        shape = tuple(shape.values())
    if shape is None or not is_several(shape):
        return cast("Sequence[int] | None", shape)
    (only,) = shape
    return cast(Sequence[int], only)


def _several(shape: Sequence[int] | InputSizes | None) -> list[Sequence[int]] | None:
    """The sizes of several inputs, in the order of the program."""
    if shape is None:
        return None
    if isinstance(shape, Mapping):
        return list(shape.values())
    return [cast(Sequence[int], one) for one in shape]


def _sizes_before(tail: list[Any], fx_node: Any) -> tuple[int, ...]:
    """Sizes of one image's tensor that an output's tail reads, or that is the output."""
    value = (tail[0].args[0] if tail else fx_node).meta["val"]
    return tuple(int(size) for size in value.shape[1:])
