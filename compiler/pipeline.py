# SPDX-License-Identifier: Apache-2.0
"""The compiler as one list of stages over frozen data, started and stopped at any of them.

::

    begin = Compilation(Options(params=get_preset("sim32")), Inputs(module, calibration))
    done = run_stages(begin)
    done.program                                         # memory images
    half = run_stages(begin, stop="lower")
    whole = run_stages(half)                             # goes on where that one stopped
    other = run_stages(whole.with_options(mesh=(4, 4)))  # from the first stage that this changes

:mod:`stemcore.compiler.saved` keeps a compilation in a folder.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams

from . import stages as work
from .activity import Activity
from .assembly.assemble import assemble
from .assembly.check_program import check_program
from .assembly.fit import MappedNetwork, fit_to_mesh
from .errors import CompileError
from .estimation.pacing import set_gaps
from .frontend.graph import Graph
from .lowering.integrate import check_integrations
from .lowering.ranges import RangeReport, potentials_fit
from .quantization.quantized import IntArray, QuantizedNetwork, check_quantized
from .sparsity.tables import with_tables
from .stages import Inputs, Options, Workload, exact_width

if TYPE_CHECKING:
    from .quantization.quantized_model import QuantizedModel


@dataclass(frozen=True)
class Stage:
    """One step of the compiler.

    Attributes
    ----------
    name : str
    kind : str
        What its result is called in a file.
    result : type
        Of its result: what :func:`stemcore.compiler.records.load_record` has to find.
    run : function
        Its parameters are what it reads, by name: earlier results, inputs, options.
    check : function
        Its first parameter is the result, the others are what it reads, by name as for ``run``.
        Raises where the result cannot be right.
    """

    name: str
    kind: str
    result: Any
    run: Callable[..., Any]
    check: Callable[..., object] = work.check_nothing


PIPELINE = (
    Stage("capture", "graph", Graph, work.run_capture, work.check_capture),
    Stage("check", "workload", Workload, work.run_check),
    Stage("quantize", "quantized network", QuantizedNetwork, work.run_quantize, check_quantized),
    Stage("tables", "tables", dict[str, IntArray], work.run_tables),
    Stage("lower", "network", Network, work.run_lower, work.check_network),
    Stage("split", "network", Network, work.run_split, work.check_network),
    Stage("skip_buffers", "network", Network, work.run_skip_buffers, work.check_buffered),
    Stage("prove", "ranges", RangeReport, work.run_prove),
    Stage("integrate", "network", Network, work.run_integrate, work.check_integrated),
    Stage(
        "activity",
        "activity",
        dict[str, NDArray[np.float64]],
        work.run_activity,
        work.check_activity,
    ),
    Stage("map", "mapped network", MappedNetwork, work.run_map, work.check_map),
    Stage("assemble", "program", Program, work.run_assemble, check_program),
)
STAGES = tuple(stage.name for stage in PIPELINE)
_INPUTS = tuple(f.name for f in fields(Inputs))
_OPTIONS = tuple(f.name for f in fields(Options))


@dataclass(frozen=True)
class Reads:
    """What a stage reads, by name, as the parameters of its function say."""

    results: tuple[str, ...]
    inputs: tuple[str, ...]
    options: tuple[str, ...]


def reads_of(stage: Stage, function: Callable[..., Any] | None = None, skip: int = 0) -> Reads:
    """What ``function`` (default: the stage's ``run``) reads; its first ``skip`` parameters are
    given otherwise."""
    names = list(inspect.signature(function or stage.run).parameters)[skip:]
    earlier = STAGES[: STAGES.index(stage.name)]
    results = tuple(name for name in names if name in earlier)
    rest = [name for name in names if name not in results]
    inputs = tuple(name for name in rest if name in _INPUTS)
    options = tuple(name for name in rest if name in _OPTIONS)
    unknown = set(rest) - {*inputs, *options}
    assert not unknown, f"{stage.name}: reads {unknown}, which nothing before it gives"
    return Reads(results, inputs, options)


def stage_index(name: str, what: str) -> int:
    """Place of a stage in the pipeline; ``CompileError`` for a name that is none."""
    if name not in STAGES:
        raise CompileError(
            what, f"must be a stage, got {name!r}", f"the stages are {', '.join(STAGES)}"
        )
    return STAGES.index(name)


class Lazy:
    """A result that is read from its file when somebody asks for it."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    @cached_property
    def value(self) -> Any:
        """What the file holds."""
        return self._load()


@dataclass(frozen=True, eq=False)
class Compilation:
    """What goes into the compiler, and the results of the stages that have run, by name."""

    options: Options
    inputs: Inputs
    results: Mapping[str, Any] = field(default_factory=dict)

    def result(self, name: str) -> Any:
        """Result of a stage; ``CompileError`` where it has not run."""
        stage_index(name, "result")
        if name not in self.results:
            ran = ", ".join(self.results) or "none"
            raise CompileError(
                name, f"this stage must have run, the stages that did are {ran}", "run it first"
            )
        value = self.results[name]
        return value.value if isinstance(value, Lazy) else value

    # Results, by what they are.
    @property
    def graph(self) -> Graph:
        """Float graph of the model."""
        graph: Graph = self.result("capture")
        return graph

    @property
    def n_macs(self) -> int:
        """Multiply-accumulates of one image."""
        workload: Workload = self.result("check")
        return workload.n_macs

    @cached_property
    def quantized(self) -> QuantizedNetwork:
        """Integers of every layer, its activation table among them."""
        network: QuantizedNetwork = self.result("quantize")
        tables = self.result("tables")
        return with_tables(network, tables) if tables else network

    @cached_property
    def quantized_model(self) -> "QuantizedModel":
        """:attr:`quantized` as a torch module."""
        from .quantization.quantized_model import QuantizedModel

        return QuantizedModel(self.quantized)

    @property
    def input_table(self) -> IntArray | None:
        """Table that whoever fires the input applies first."""
        table: IntArray | None = self.result("tables").get(INPUT)
        return table

    @property
    def exact(self) -> Network:
        """Layers of the model, with exact integration."""
        network: Network = self.result("lower")
        return network

    @property
    def exact_width(self) -> int:
        """Bits that hold the potentials of :attr:`exact`."""
        return exact_width(self.options.params)

    @property
    def ranges(self) -> RangeReport:
        """What is proved of the potentials of :attr:`exact`."""
        report: RangeReport = self.result("prove")
        return report

    @property
    def network(self) -> Network:
        """What the cores run: wide fan-ins split, skips buffered, in their kind of integration."""
        network: Network = self.result("integrate")
        return network

    @property
    def activity(self) -> dict[str, NDArray[Any]]:
        """Expected spikes of every neuron in an image."""
        activity: dict[str, NDArray[Any]] = self.result("activity")
        return activity

    @property
    def program(self) -> Program:
        """Memory images of all cores."""
        program: Program = self.result("assemble")
        return program

    def with_options(self, **changes: Any) -> "Compilation":
        """Other options; results that do not depend on what changed stay."""
        unknown = sorted(set(changes) - set(_OPTIONS))
        if unknown:
            raise CompileError(
                "options", f"must be of {', '.join(_OPTIONS)}, got {', '.join(unknown)}"
            )
        changed = {n for n, value in changes.items() if value != getattr(self.options, n)}
        return replace(
            self,
            options=replace(self.options, **changes),
            results=self._without(lambda reads: changed & set(reads.options)),
        )

    def with_inputs(self, **changes: Any) -> "Compilation":
        """Other inputs; results that do not depend on them stay."""
        return replace(
            self,
            inputs=replace(self.inputs, **changes),
            results=self._without(lambda reads: set(changes) & set(reads.inputs)),
        )

    def _without(self, is_hit: Callable[[Reads], Collection[str]]) -> dict[str, Any]:
        """Results without those of the stages that are hit, and without what depends on these."""
        gone: set[str] = set()
        for stage in PIPELINE:
            reads = reads_of(stage)
            if is_hit(reads) or gone & set(reads.results):
                gone.add(stage.name)
        return {name: value for name, value in self.results.items() if name not in gone}


class Store(Protocol):
    """Where results are looked for before a stage runs, and kept afterwards."""

    def find(self, stage: Stage, compilation: Compilation) -> Lazy | None:
        """The result of the stage for exactly these inputs, options and results before it."""

    def keep(self, stage: Stage, compilation: Compilation) -> None:
        """Keeps the result that ``compilation`` has of the stage."""


def run_stages(
    compilation: Compilation,
    *,
    start: str | None = None,
    stop: str | None = None,
    store: Store | None = None,
) -> Compilation:
    """Runs stages, each followed by its check, and returns the compilation with their results.

    Parameters
    ----------
    start : str, optional
        First stage to run, again where it has run; the results of stages before it have to be
        there. Default: the first one that has none.
    stop : str, optional
        Last stage to run; later results are dropped where stages ran. Default: the last.
    store : Store, optional
        Takes the place of running a stage where it has the result; never for ``start`` itself.

    Raises
    ------
    CompileError
        From a stage: where, what must hold, what came, what to do. Also for unknown stages, and
        for a start that lacks what it reads.
    """
    last = len(STAGES) - 1 if stop is None else stage_index(stop, "stop")
    missing = [i for i, name in enumerate(STAGES) if name not in compilation.results]
    if start is None:
        first = missing[0] if missing else len(STAGES)
    else:
        first = stage_index(start, "start")
        if first > last:
            raise CompileError("start", f"must not come after stop={STAGES[last]}, got {start}")
        if missing and missing[0] < first:
            raise CompileError(
                f"start={start}",
                f"the stages before it must have results, {STAGES[missing[0]]} has none",
                f"start there, or load a compilation that went as far as {STAGES[first - 1]}",
            )
    if first > last:
        return compilation
    results = {name: compilation.results[name] for name in STAGES[:first]}
    now = replace(compilation, results=results)
    for stage in PIPELINE[:first]:
        if store is not None:
            store.keep(stage, now)
    for stage in PIPELINE[first : last + 1]:
        found = store.find(stage, now) if store is not None and stage.name != start else None
        result = _run(stage, now) if found is None else found
        now = replace(now, results={**now.results, stage.name: result})
        if store is not None and found is None:
            store.keep(stage, now)
    return now


def _run(stage: Stage, compilation: Compilation) -> Any:
    result = stage.run(**_arguments(compilation, reads_of(stage)))
    check_result(stage, result, compilation)
    return result


def check_result(stage: Stage, result: Any, compilation: Compilation) -> None:
    """The stage's own check of a result."""
    stage.check(result, **_arguments(compilation, reads_of(stage, stage.check, skip=1)))


def _arguments(compilation: Compilation, reads: Reads) -> dict[str, Any]:
    return (
        {name: compilation.result(name) for name in reads.results}
        | {name: getattr(compilation.inputs, name) for name in reads.inputs}
        | {name: getattr(compilation.options, name) for name in reads.options}
    )


def compile_network(
    network: Network,
    params: ChipParams,
    *,
    columns: int | None = None,
    rows: int | None = None,
    cores: int | None = None,
    activity: Activity | None = None,
    overflow_proved: bool | None = None,
) -> Program:
    """Memory images for a lowered network that did not come through the pipeline.

    The stages ``map`` and ``assemble`` in one; ``columns`` and ``rows`` go together and make the
    mesh, the rest is as for :func:`stemcore.compiler.assembly.fit.fit_to_mesh`. ``overflow_proved``
    is what the program says of the range of potentials, by default what
    :func:`stemcore.compiler.lowering.ranges.potentials_fit` finds. Raises ``CompileError``.
    """
    check_integrations(network, params)
    if (columns is None) != (rows is None):
        raise ValueError("compile_network: columns and rows must be given together")
    mesh = None if columns is None or rows is None else (columns, rows)
    mapped = fit_to_mesh(network, params, mesh=mesh, cores=cores, activity=activity)
    if overflow_proved is None:
        overflow_proved = potentials_fit(network, params)
    tiles, placement = mapped.partition.tiles, mapped.placement
    program = assemble(network, params, tiles, placement, overflow_proved=overflow_proved)
    program = set_gaps(program, activity)
    check_program(program)
    return program
