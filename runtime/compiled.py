# SPDX-License-Identifier: Apache-2.0
"""A network compiled by one call: estimated, run on any engine, saved, exported.

``stemcore.compile`` and ``stemcore.load`` are :func:`compile` and :func:`load` of this module::

    compiled = stemcore.compile(module, calibration=images)
    print(compiled.estimate())
    result = compiled.run(images, engine="rtl")
    compiled.save("net/")
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemcore.compiler.errors import CompatibilityError, PartitionError
from stemcore.compiler.frontend.fx import graph_shape
from stemcore.compiler.input_map import InputMap
from stemcore.compiler.input_parts import as_input_shape, is_several
from stemcore.compiler.lowering.integrate import modes
from stemcore.compiler.lowering.skip_buffers import check_choice
from stemcore.compiler.manifest import MANIFEST
from stemcore.compiler.pipeline import STAGES, Compilation, run_stages, stage_index
from stemcore.compiler.quantization.layer_bits import parse_bits
from stemcore.compiler.quantization.outputs import describe_outputs, stated_outputs
from stemcore.compiler.saved import CompileFolder, load_compilation, save_compilation
from stemcore.compiler.sparsity.tables import NONE, Entry, read_tables
from stemcore.compiler.stages import Inputs, Options
from stemcore.compiler.trial import find_fit
from stemcore.compiler.virtual.chip import VirtualChip, virtual_chip
from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.network import Network
from stemcore.golden.network.results import describe_tails
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.presets import DEFAULT_PRESET, get_preset

from .chip_estimate import ChipEstimate, estimate_chip
from .compile_input import inputs_of_one, live_model, meant
from .engines.compare import Difference, chip_difference, first_difference
from .engines.engine import NetworkEngine
from .engines.registry import DEFAULT, get_engine
from .engines.result import RunResult
from .engines.run import run_engine
from .images import integer_images
from .progress import Progress
from .result import Result
from .several_inputs import is_packed, packed_images, sizes_of, with_parts

PROGRAM_ENGINE = "program"
COMPILED_FOLDER = "compiled"  # of a run's results
Tables = str | Path | Mapping[str, Entry]

_log = logging.getLogger(__name__)


class Compiled:
    """A compiled network.

    Attributes
    ----------
    compilation : stemcore.compiler.pipeline.Compilation
        Options, inputs, and the result of every stage of the compiler that has run.
    """

    def __init__(self, compilation: Compilation) -> None:
        self.compilation = compilation

    def __repr__(self) -> str:
        done = list(self.compilation.results)
        where = f"up to {done[-1]}" if done else "nothing yet"
        return f"<Compiled {self.compilation.options.name!r}: {where}>"

    @property
    def network(self) -> Network:
        """Integer layers, as the cores run them."""
        return self.compilation.network

    @property
    def program(self) -> Program:
        """Memory images of all cores."""
        return self.compilation.program

    @property
    def notes(self) -> tuple[str, ...]:
        """What was changed while the model was read, what its outputs were taken for, and what the
        host computes after the chip; a sentence each."""
        tails = describe_tails(self.compilation.graph.outputs)
        said = f"outputs are {describe_outputs(self.compilation.quantized.kinds)}"
        on_host = (f"on the host, after the chip: {tails}",) if tails else ()
        return (*self.compilation.graph.notes, said, *on_host)

    def estimate(self, *, cores_on_chip: int | None = None) -> ChipEstimate:
        """Cores, memories, cycles and energy; nothing is simulated. ``print`` shows it well.

        ``cores_on_chip``: as for :meth:`run`.
        """
        chip = self.virtual_chip(cores_on_chip)
        return estimate_chip(self.program, self.compilation.activity, chip)

    def virtual_chip(self, cores_on_chip: int | None) -> VirtualChip | None:
        """How cores take turns on a chip of so many; None for None."""
        if cores_on_chip is None:
            return None
        return virtual_chip(self.program, cores_on_chip, self.compilation.activity)

    def run(
        self,
        images: Any,
        *,
        engine: str = DEFAULT,
        threads: int | None = None,
        port: str | None = None,
        waves: Path | str | None = None,
        progress: Progress | None = None,
        cores_on_chip: int | None = None,
        strict: bool = True,
    ) -> Result:
        """Runs images through an engine and compares every spike with golden.

        Parameters
        ----------
        images : array or tensor (N, C, H, W), or with the module's own dimensions
            Of several inputs a tuple of these, or a dict by name. uint8 bytes of pictures, floats
            as the network sees them, or integers as the host fires them
            (:mod:`stemcore.runtime.images`).
        engine : str
            ``golden``, ``program``, ``rtl`` (the compiled gateware, cycle-accurate), ``amaranth``,
            or another one that is installed.
        threads : int, optional
            That simulate, of engines that can use several.
        port : str, optional
            Where the chip is, of engine ``fpga``: ``/dev/ttyUSB0``, ``/dev/ttyUSB0@3000000``.
        waves : folder, optional
            Where waves of all cores go, of engines that write them.
        progress : callable, optional
            Called with images done and cycles so far.
        cores_on_chip : int, optional
            Cores of a chip that has fewer than the network needs: groups of the network's cores
            are loaded in turn, and the host keeps the spikes between them.
        strict : bool
            Whether a difference is raised; else ``Result.difference`` has it.

        Raises
        ------
        Difference
            Where the engine computes something else than golden: layer, image, neuron, time step,
            expected, got.
        ValueError
            For images that do not fit the network, and for an unknown engine.
        """
        chosen = get_engine(engine)
        if cores_on_chip is not None and isinstance(chosen, NetworkEngine):
            raise ValueError(
                f"cores_on_chip: engine {chosen.name!r} has no cores; leave the option out"
            )
        integers = self.integers(images)
        network, params = self.network, self.compilation.options.params
        program = None if isinstance(chosen, NetworkEngine) else self.program
        chip = None if program is None else self.virtual_chip(cores_on_chip)
        ran = run_engine(
            chosen,
            program,
            integers,
            network=network,
            params=params,
            threads=threads,
            port=port,
            waves_dir=None if waves is None else Path(waves),
            progress=progress,
            chip=chip,
        )
        golden = run_network(network, integers, acc_width=params.acc_width)
        difference = _difference(network, program, golden, ran, integers, chip)
        if difference is not None and strict:
            raise Difference(difference)
        return Result(self.compilation, integers, golden, ran, program, difference)

    def integers(self, images: Any, where: str = "images") -> NDArray[np.int64]:
        """What the host fires for images of any kind that :meth:`run` takes."""
        source, options = self.network.input, self.compilation.options
        parts = self.compilation.graph.parts if options.part_maps else ()
        if parts and not is_packed(images, source):
            integers = packed_images(images, parts, options.part_maps, where).astype(np.int64)
        else:
            integers = integer_images(
                images, source.shape, where, input_map=options.input_map
            ).astype(np.int64)
        table = self.compilation.input_table
        return integers if table is None else apply(table, integers)

    def save(self, folder: Path | str) -> Path:
        """Writes everything that was compiled into ``folder``; :func:`load` reads it.

        The live model is not kept: its captured graph is. Raises ``FormatError`` for a folder that
        holds something else.
        """
        save_compilation(self.compilation, folder)
        return Path(folder)

    def verilog(self, folder: Path | str, images: Any = None) -> Path:
        """Writes the chip as self-contained Verilog, with memory files and a bench.

        The bench runs ``images`` (default: the first one of calibration) and compares the outputs
        with golden's; README.txt in the folder says how. Earlier contents are replaced.
        """
        from .host.verilog_bench import write_bench

        if images is None:
            calibration = self.compilation.inputs.calibration
            if calibration is None:
                raise ValueError("verilog: must have images for its bench, got none; pass images=")
            images = calibration[:1]
        integers, network = self.integers(images), self.network
        acc_width = self.compilation.options.params.acc_width
        values = run_network(
            network, integers, acc_width=acc_width, keep=set(network.output_layers)
        )
        expected = network.joined(values)
        return write_bench(self.program, integers, Path(folder), expected=expected)

    def compile(
        self, *, start: str | None = None, stop: str | None = None, **options: Any
    ) -> "Compiled":
        """The same model, on from where it stands or with other options.

        Stages that other ``options`` (:class:`stemcore.compiler.stages.Options`) do not touch keep
        their results. ``start`` runs a stage, and those after it, again; ``stop`` is the last one
        to run. Raises ``CompileError``.
        """
        changed = self.compilation.with_options(**options) if options else self.compilation
        return Compiled(run_stages(changed, start=start, stop=stop))


def _difference(
    network: Network,
    program: Program | None,
    golden: Mapping[str, NDArray[np.int64]],
    ran: RunResult,
    images: NDArray[np.integer],
    chip: VirtualChip | None,
) -> str | None:
    """The first difference between golden and what an engine returned."""
    names = "golden", ran.engine
    if program is None:
        return first_difference(network, golden, ran.values, names)
    if ran.engine == PROGRAM_ENGINE:
        return first_difference(program, golden, ran.values, names)
    # Of a chip that nobody sees into, counters tell what its layers did.
    model = None
    if ran.only_outputs:
        model = run_engine(PROGRAM_ENGINE, program, images, chip=chip)
    return chip_difference(program, golden, ran, names, model)


def compile(
    model: Any,
    *,
    calibration: Any,
    labels: Any = None,
    name: str | None = None,
    input: str | Sequence[Any] | Mapping[str, Any] | InputMap | None = None,
    input_shape: Any = None,
    preset: str | ChipParams | None = None,
    mesh: tuple[int, int] | None = None,
    cores: int | None = None,
    profile: str = "exact",
    bits: int | str | Mapping[str, int] = 8,
    weight_bits: int | str | Mapping[str, int] = 8,
    calibration_method: str | None = None,
    bias: str | None = None,
    tables: Tables = NONE,
    integration: str | None = None,
    activity: Any = None,
    outputs: str | Mapping[str, str] | None = None,
    skip_buffers: bool | None = None,
    stop: str | None = None,
    folder: Path | str | None = None,
) -> Compiled:
    """Compiles a network for the chip.

    Parameters
    ----------
    model : torch.nn.Module, and whatever else has a frontend
        In evaluation mode, with float input (N, C, H, W), (N, C, L) or (N, F). Or an exported
        program, the path of a file ``.pt2`` or ``.onnx``, or
        ``path/to/file.py:function``.
    calibration : array or tensor (N, C, H, W), or with the module's own dimensions
        Of several inputs a tuple of these, or a dict by the names of the module's arguments. Images
        that the scales rest on, some hundreds: uint8 bytes of pictures, floats as the
        network sees them, or the integers that the host fires (:mod:`stemcore.runtime.images`). Of
        more than 512 the first 512 are used, of large networks fewer.
    input : str, (low, high) or (means, deviations), optional
        What a byte of an image means to the network, and what floats it sees: ``unit``, ``signed``,
        ``u8``, a range, or means and standard deviations on the scale of 0..1
        (:mod:`stemcore.compiler.input_map`). Default: what the module says of itself
        (``input_range``, or ``input_mean`` and ``input_std``), or the archive. Where nothing says
        so, bytes are refused, and floats lie in -127/128..127/128. ``auto``: the usual one with
        which the float network gets most of the calibration images right; needs ``labels``. Of
        several inputs a dict by name, or one for all.
    labels : integers (N,), optional
        Classes of the calibration images, bytes then, for ``input="auto"``.
    name : str, optional
        For messages and reports. Default: the module's class, or the file's name.
    input_shape : (C, H, W), (C, L) or (F,), optional
        Default: that of the calibration images.
    preset : str or ChipParams, optional
        Sizes of the cores: a name of ``stemcore.golden.spec.presets.PRESETS``, or sizes of your
        own. Default: ``sim32``, or the first larger preset that holds the network, which is logged.
    mesh : (columns, rows), optional
        Nodes. Default: the smallest mesh that holds the network.
    cores : int, optional
        To use at most.
    profile : str
        ``exact``: every scale a power of two. ``general``: multipliers. ``paper``.
    bits : int, mapping from layer name, or text
        Of the activations, 2 to 8: the time steps T. ``{"fc": 4, "*": 8}`` or ``"8,fc=4"``: layers
        with their own, and all others.
    weight_bits : int, mapping from layer name, or text
        Of the weights, likewise.
    calibration_method : str, optional
        How scales of activations follow from the images: ``max``, ``mse``, ``percentile`` or
        ``percentile:99.9`` (:mod:`stemcore.compiler.quantization.calibration`). Default: ``mse``,
        of the paper's profile ``max``.
    bias : str, optional
        Format of the biases, one of ``stemcore.compiler.quantization.bias.BIAS_FORMATS``.
    tables : str, path or mapping
        Activation tables: a name such as ``rd20``, a JSON file, or names by layer.
    integration : str, optional
        ``exact``, or 16 bits by ``late``, ``scaled`` or ``scaled_shift``. Default: the preset's.
    activity : array or tensor (N, C, H, W), optional
        Images whose spikes say where the work falls. Default: those of calibration.
    outputs : str or mapping, optional
        ``classes`` or ``values``: what the numbers of the output are; of several outputs by name.
        Scores of classes may be clipped where that keeps more of the largest ones apart; values are
        not. Default: classes only where the network ends in softmax, argmax or top-k.
    skip_buffers : bool, optional
        Whether connections that skip layers pass cores that hold a copy for each of them, so that
        images follow each other without waiting. Default: yes, or, where the network fits no chip
        with them, no, which is logged.
    stop : str, optional
        Last stage to run; :meth:`Compiled.compile` goes on.
    folder : path, optional
        Keeps the results of all stages, and takes those that nothing has changed.

    Raises
    ------
    CompileError
        Where the network cannot be compiled as asked: which layer, what must hold, what came, what
        to do.
    ValueError
        For images or options that cannot be used.
    """
    sizes = as_input_shape(input_shape or sizes_of(calibration, "calibration"))
    module, said = live_model(model, _name(model))
    options = Options(
        name=name or _name(model),
        input_shape=sizes,
        params=_params(preset, integration),
        profile=profile,
        bits=parse_bits(bits, "bits"),
        weight_bits=parse_bits(weight_bits, "weight_bits"),
        bias=bias,
        calibration_method=calibration_method,
        tables=read_tables(str(tables)) if isinstance(tables, str | Path) else dict(tables),
        integration=integration,
        mesh=mesh,
        cores=cores,
        outputs=stated_outputs(outputs),
        with_skip_buffers=skip_buffers,
    )
    check_choice(skip_buffers, options.params)
    store = None if folder is None else CompileFolder(folder)
    if is_several(sizes):
        if labels is not None:
            raise ValueError("labels: are for networks with one input; leave them out")
        begun = run_stages(Compilation(options, Inputs(module)), stop="capture", store=store)
        compilation = with_parts(begun, input, said, calibration, activity)
    else:
        if isinstance(input, Mapping):
            raise ValueError("input: names inputs, and calibration is one array; give one for each")
        found = meant(input, said, module, calibration, labels, sizes)
        inputs = inputs_of_one(module, found, graph_shape(sizes), calibration, activity)
        compilation = Compilation(replace(options, input_map=found), inputs)
    if preset is None and (stop is None or STAGES.index("split") <= stage_index(stop, "stop")):
        checked = run_stages(compilation, stop="check", store=store)
        compilation = _on_chip_that_holds(checked)
    return Compiled(run_stages(compilation, stop=stop, store=store))


def _on_chip_that_holds(captured: Compilation) -> Compilation:
    """With the sizes of a larger preset where the default does not hold the network, and without
    skip buffers where it fits without them alone."""
    fit = find_fit(captured, larger=True)
    if not fit.fits:
        if isinstance(fit.problem, PartitionError | CompatibilityError):
            raise fit.problem  # sizes alone: calibration changes nothing
        return captured  # whose own stages refuse what does not fit, with their reason
    options = captured.options
    if fit.preset:
        _log.warning(
            "preset %s: %s does not hold the network: %s", fit.preset, DEFAULT_PRESET, fit.problem
        )
        integration = options.params.integration
        params = get_preset(fit.preset).with_integration(integration)
        captured = captured.with_options(params=params)
    if fit.skip_buffers is not options.with_skip_buffers:
        _log.warning("skip buffers left out, with them: %s", fit.problem)
        captured = captured.with_options(with_skip_buffers=fit.skip_buffers)
    return captured


def _name(model: Any) -> str:
    text = Path(model).stem if isinstance(model, str | Path) else type(model).__name__
    return re.sub(r"\W", "_", text)


def _params(preset: str | ChipParams | None, integration: str | None) -> ChipParams:
    if integration is not None and integration not in modes():
        raise ValueError(f"integration: must be one of {', '.join(modes())}, got {integration!r}")
    params = preset if isinstance(preset, ChipParams) else get_preset(preset or DEFAULT_PRESET)
    return params.with_integration(integration.removesuffix("_shift")) if integration else params


def load(folder: Path | str) -> Compiled:
    """What :meth:`Compiled.save` wrote, or a run of ``stemcore sim`` left in its folder.

    Needs neither the model nor torch. Raises ``FormatError`` for a folder that is damaged or holds
    something else.
    """
    folder = Path(folder)
    inner = folder / COMPILED_FOLDER
    is_run = not (folder / MANIFEST).is_file() and (inner / MANIFEST).is_file()
    return Compiled(load_compilation(inner if is_run else folder))
