# SPDX-License-Identifier: Apache-2.0
"""A program as a directory: ``program.json`` describes it, ``memories.npz`` has the words.

``program.json`` holds ``format``, ``version``, ``program`` (its fields), ``sha256`` of the compact,
key-sorted JSON of ``program``, and ``memories_sha256`` of the bytes of ``memories.npz``. The arrays
are called ``<core>.<MEMORY>``, cores counted in the program's order. Nothing is ever unpickled.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.files import read_file, written_whole
from stemcore.numpy_files import read_arrays

from ..network.network import Population
from ..network.results import ONE_OUTPUT, Output, Results, check_results
from ..network.tail import tail_from_plain, tail_to_plain
from ..spec.fields import Formats, Memory
from ..spec.params import ChipParams
from .check import check_program
from .program import CoreImage, InputRoute, LayerInfo, Program

FORMAT = "stemcore program"
VERSION = 1
DESCRIPTION_FILE = "program.json"
MEMORIES_FILE = "memories.npz"
REMEDY = "compile the network again"


def save_program(program: Program, directory: Path) -> None:
    """Writes ``program`` into ``directory``, made if need be; same program, same bytes.

    Raises ``ValueError`` for a part of a program: it follows from the whole.
    """
    if program.is_part:
        raise ValueError(
            f"{program.name}: must be a whole program to be saved, got a part; save the program "
            "that it is a part of"
        )
    arrays = {
        f"{index}.{memory.name}": core.memories[memory]
        for index, core in enumerate(program.cores)
        for memory in sorted(core.memories)
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    memories = buffer.getvalue()
    body = _describe(program)
    description = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": hashlib.sha256(_compact(body)).hexdigest(),
        "memories_sha256": hashlib.sha256(memories).hexdigest(),
        "program": body,
    }
    directory = Path(directory)
    # Both are there before one takes its place. The description comes last: a directory with one
    # that matches is complete.
    with (
        written_whole(directory / DESCRIPTION_FILE) as described,
        written_whole(directory / MEMORIES_FILE) as words,
    ):
        words.write_bytes(memories)
        described.write_text(json.dumps(description, indent=1) + "\n")


def load_program(directory: Path) -> Program:
    """The program in ``directory``; ``ValueError`` if missing, damaged or of another version."""
    directory = Path(directory)
    path = directory / DESCRIPTION_FILE
    description = _read_description(path)
    body: Any = description.get("program")
    if hashlib.sha256(_compact(body)).hexdigest() != description.get("sha256"):
        raise ValueError(f"{path}: must match its checksum, does not; {REMEDY}")

    path_of_memories = directory / MEMORIES_FILE
    data = _read(path_of_memories)
    if hashlib.sha256(data).hexdigest() != description.get("memories_sha256"):
        raise ValueError(
            f"{path_of_memories}: {len(data)} bytes must match the checksum in {DESCRIPTION_FILE}, "
            f"do not; {REMEDY}"
        )
    try:
        arrays = read_arrays(data)
    except ValueError as error:
        raise ValueError(
            f"{path_of_memories}: must be an archive of arrays, got: {error}; {REMEDY}"
        ) from error
    if not isinstance(arrays, dict):
        raise ValueError(f"{path_of_memories}: must be an archive, got one array; {REMEDY}")
    try:
        program = _restore(body, arrays)
        check_program(program)
        return program
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: must describe a program of version {VERSION}, got {type(error).__name__}: "
            f"{error}; {REMEDY}"
        ) from error


def _compact(body: Any) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise ValueError(
            f"{path}: must be a file of a saved program, got: {error.strerror}; "
            "name a directory written by save_program"
        ) from error


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(_read(path).decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: must be JSON, got: {error}; {REMEDY}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else description
        raise ValueError(
            f"{path}: format must be {FORMAT!r}, got {found!r}; "
            "name a directory written by save_program"
        )
    if description.get("version") != VERSION:
        raise ValueError(
            f"{path}: version must be {VERSION}, got {description.get('version')!r}; {REMEDY}"
        )
    return description


def _describe_population(population: Population) -> dict[str, Any]:
    return {
        "name": population.name,
        "shape": list(population.shape),
        "bits": population.bits,
        "is_signed": population.is_signed,
    }


def _describe(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "params": program.params.to_dict(),
        "columns": program.columns,
        "rows": program.rows,
        "cores": [
            {
                "x": core.x,
                "y": core.y,
                "layer": core.layer,
                "memories": [memory.name for memory in sorted(core.memories)],
            }
            for core in program.cores
        ],
        "layers": [
            {
                "population": _describe_population(info.population),
                "shape": list(info.shape),
                "n_macs": info.n_macs,
                "n_parameters": info.n_parameters,
            }
            for info in program.layers
        ],
        "input": _describe_population(program.input),
        "input_routes": [
            {
                "rows": list(route.rows),
                "columns": list(route.columns),
                "nodes": list(route.nodes),
                "axon": route.axon,
            }
            for route in program.input_routes
        ],
        "input_end": [list(rectangle) for rectangle in program.input_end],
        "input_credits": program.input_credits,
        "output": program.output,
        "output_ends": program.output_ends,
        "output_cores": [list(node) for node in program.output_cores],
        "overflow_proved": program.overflow_proved,
        **({"tail": tail_to_plain(program.tail)} if program.tail else {}),
        **({"results": _describe_results(program.results)} if program.results else {}),
    }


def _describe_results(results: Results) -> dict[str, Any]:
    return {
        "outputs": [
            {
                "name": output.name,
                "source": output.source,
                "tail": tail_to_plain(output.tail),
                "shape": list(output.shape),
                "kind": output.kind,
            }
            for output in results.outputs
        ],
        "structure": results.structure,
    }


def _results(value: Mapping[str, Any] | None, layers: Sequence[LayerInfo]) -> Results:
    if value is None:
        return ONE_OUTPUT
    outputs = tuple(
        Output(
            _text(output["name"]),
            _text(output["source"]),
            tail_from_plain(output["tail"]),
            tuple(_integer(size) for size in output["shape"]),
            _text(output["kind"]),
        )
        for output in value["outputs"]
    )
    results = Results(outputs, _text(value["structure"]))
    check_results(results, {info.population.name: info for info in layers})
    return results


def _restore(body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Program:
    params = ChipParams.from_dict(body["params"])
    names = {
        f"{index}.{memory}"
        for index, core in enumerate(body["cores"])
        for memory in core["memories"]
    }
    if names != set(arrays):
        odd = sorted(names ^ set(arrays))[0]
        raise ValueError(f"array {odd!r} is in only one of the two files")
    cores = tuple(
        CoreImage(
            _integer(core["x"]),
            _integer(core["y"]),
            _text(core["layer"]),
            {
                Memory[memory]: _words(params, Memory[memory], arrays[f"{index}.{memory}"])
                for memory in core["memories"]
            },
        )
        for index, core in enumerate(body["cores"])
    )
    layers = tuple(
        LayerInfo(
            _population(info["population"]),
            _three(info["shape"]),
            _integer(info["n_macs"]),
            _integer(info["n_parameters"]),
        )
        for info in body["layers"]
    )
    return Program(
        name=_text(body["name"]),
        params=params,
        columns=_integer(body["columns"]),
        rows=_integer(body["rows"]),
        cores=cores,
        layers=layers,
        input=_population(body["input"]),
        input_routes=tuple(
            InputRoute(
                _two(route["rows"]),
                _two(route["columns"]),
                _four(route["nodes"]),
                _integer(route["axon"]),
            )
            for route in body["input_routes"]
        ),
        input_end=tuple(_four(rectangle) for rectangle in body["input_end"]),
        input_credits=_integer(body["input_credits"]),
        output=_text(body["output"]),
        output_ends=_integer(body["output_ends"]),
        output_cores=tuple(_two(node) for node in body["output_cores"]),
        overflow_proved=_truth(body["overflow_proved"]),
        tail=tail_from_plain(body.get("tail", [])),
        results=_results(body.get("results"), layers),
    )


def _words(params: ChipParams, memory: Memory, words: NDArray[Any]) -> NDArray[np.uint32]:
    formats = Formats(params)
    depth, n_chunks = formats.memory(memory)[1], formats.n_chunks(memory)
    if words.dtype != np.uint32 or words.ndim != 2 or words.shape[1] != n_chunks:
        raise ValueError(
            f"{memory.name} must be uint32 (words, {n_chunks}), is {words.dtype} {words.shape}"
        )
    if len(words) > depth:
        raise ValueError(f"{memory.name} must have at most {depth} words, has {len(words)}")
    return words


def _population(value: Mapping[str, Any]) -> Population:
    return Population(
        _text(value["name"]),
        _three(value["shape"]),
        _integer(value["bits"]),
        _truth(value["is_signed"]),
    )


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"an integer is wanted, got {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string is wanted, got {value!r}")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false is wanted, got {value!r}")
    return value


def _two(value: Any) -> tuple[int, int]:
    first, second = value
    return _integer(first), _integer(second)


def _three(value: Any) -> tuple[int, int, int]:
    first, second, third = value
    return _integer(first), _integer(second), _integer(third)


def _four(value: Any) -> tuple[int, int, int, int]:
    first, second, third, fourth = value
    return _integer(first), _integer(second), _integer(third), _integer(fourth)
