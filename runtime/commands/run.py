# SPDX-License-Identifier: Apache-2.0
"""``stemcore run``: images of the user's own through a saved program."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .registry import RUN
from .source_options import add_cores_on_chip, at_least_one

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "run"
GROUP = RUN
HELP = "run images of your own through a compiled network from its folder"
EXAMPLES = (
    "stemcore run net/ --images photos.npz",
    "stemcore run sim_build/digits_cnn-digits --images mine.npy --engine program --out results/",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..engines.registry import DEFAULT, describe_engines, engine_names

    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="what Compiled.save wrote, or the results of 'stemcore sim'",
    )
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="FILE",
        help="images (N, C, H, W): .npy, or .npz with an array 'images' and perhaps 'labels', or "
        "'x_test' and 'y_test'",
    )
    parser.add_argument(
        "--engine",
        default=DEFAULT,
        choices=engine_names(),
        metavar="ENGINE",
        help=f"{describe_engines()} (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=at_least_one, help="that simulate (default: the engine's choice)"
    )
    add_cores_on_chip(parser)
    parser.add_argument(
        "--port",
        help="where the chip of engine fpga is: a serial port, PATH or PATH@BAUD, or axi:PATH",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where results.npz and report.html go (default: sim_build/run-<name of FOLDER>)",
    )


def run(arguments: argparse.Namespace) -> int:
    from stemcore.files import alone_in_folder, written_whole
    from stemcore.folders import results
    from stemcore.golden.network.results import describe_tails

    from ..compiled import load
    from ..engines.engine import RunOptions
    from ..engines.registry import check_options, get_engine
    from ..report.screen import amount
    from .progress import Display

    compiled = load(arguments.folder)
    parts = compiled.compilation.graph.parts
    images, labels = read_images(arguments.images, [part.name for part in parts])
    n_images = len(next(iter(images.values()))) if parts else len(images)
    chosen = get_engine(arguments.engine)
    check_options(chosen, RunOptions(threads=arguments.threads, port=arguments.port))
    engine = chosen.name
    with Display() as display:
        display.say(f"run          {amount(n_images, 'image')} on {engine}")
        result = compiled.run(
            images,
            engine=engine,
            threads=arguments.threads,
            cores_on_chip=arguments.cores_on_chip,
            port=arguments.port,
            progress=display.count(n_images),
            strict=False,
        )
    folder = arguments.out or results() / f"run-{arguments.folder.resolve().name}"
    print(f"spike trains {_verdict(result.bit_exact)}")
    if tails := describe_tails(compiled.network.outputs):
        print(f"host         {tails}: computed after the chip")
    if labels is not None:
        print(f"right        {100 * result.accuracy(labels):.2f} % of {n_images} images")
    if result.timing is not None:
        print(f"cycles       {result.timing.total:,} in all")
    data, page = folder / "results.npz", folder / "report.html"
    # Both of one run, or both of the one before.
    with alone_in_folder(folder), written_whole(page) as new_page, written_whole(data) as new_data:
        result.save(new_data)
        result.report(new_page, labels)
    print(f"results      {data}\npage         {page}")
    if result.difference is not None:
        from ..engines.compare import Difference

        raise Difference(result.difference)
    return 0


def _verdict(bit_exact: bool | None) -> str:
    return {True: "equal to golden's", False: "NOT golden's", None: "golden's own"}[bit_exact]


def read_images(path: Path, inputs: Sequence[str] = ()) -> "tuple[Any, NDArray[Any] | None]":
    """Images of a file, and labels where it has some; ``ValueError`` for any other file.

    Of a network with several ``inputs`` it has an array of the name of each.

    A ``.npz`` has the array ``images``, or ``x_test`` or ``x`` as a data set has them, or one array
    alone.
    """
    import numpy as np

    from stemcore.numpy_files import read_arrays

    where = f"--images {path}"
    if not path.is_file():
        raise ValueError(f"{where}: the file must exist; nothing is there; check the path")
    try:
        arrays = read_arrays(path)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{where}: must be .npy or .npz without pickled objects; {error}; write it with "
            "numpy.savez(path, images=..)"
        ) from error
    if isinstance(arrays, np.ndarray):
        return arrays, None
    for name, label_name in (("images", "labels"), ("x_test", "y_test"), ("x", "y")):
        if name in arrays:
            return arrays[name], arrays.get(label_name)
    labels = arrays.pop("labels", None)
    if len(arrays) > 1 and set(arrays) == set(inputs):
        return arrays, labels
    if len(arrays) != 1:
        raise ValueError(
            f"{where}: must have an array 'images'; {', '.join(arrays) or 'none'} came; write it "
            "with numpy.savez(path, images=..)"
        )
    return next(iter(arrays.values())), labels
