# SPDX-License-Identifier: Apache-2.0
"""Executes the notebooks: ``python docs/run_notebooks.py [NAME ..]``.

``docs/notebooks/NAME.py`` is the source; ``sim_build/notebooks/NAME.ipynb`` has the outputs and the
source's checksum. Cells run in this interpreter, in the empty folder ``sim_build/notebooks/NAME``.
The first cell that fails ends the command with its traceback and exit status 1.
"""

import hashlib
import shutil
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "docs" / "notebooks"
OUT = ROOT / "sim_build" / "notebooks"
CELL_LIMIT_S = 600  # the first use of the gateware compiles it


class ThisInterpreter(AsyncKernelManager):
    """Starts kernels with the interpreter that runs this file, whatever else is installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command of the kernel."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="stemcore",
            language="python",
        )


def execute(source: Path) -> None:
    """Runs one notebook and writes it with its outputs; raises at the first cell that fails."""
    notebook = jupytext.read(source)
    work = OUT / source.stem
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    client = NotebookClient(
        notebook,
        timeout=CELL_LIMIT_S,
        kernel_manager_class=ThisInterpreter,
        extra_arguments=["--log-level=ERROR"],  # no word about its ports on this machine
        resources={"metadata": {"path": str(work)}},
    )
    client.execute()
    notebook.metadata["source_sha256"] = hashlib.sha256(source.read_bytes()).hexdigest()
    path = OUT / f"{source.stem}.ipynb"
    aside = path.with_suffix(".tmp")
    nbformat.write(notebook, aside)
    aside.replace(path)


def main(names: list[str]) -> int:
    """Executes the named notebooks, or all; returns the exit status."""
    known = {path.stem: path for path in sorted(SOURCES.glob("*.py"))}
    for name in names:
        if name not in known:
            sys.stderr.write(f"notebook: must be one of {', '.join(known)}, got {name!r}\n")
            return 2
    for name in names or known:
        started = time.monotonic()
        try:
            execute(known[name])
        except CellExecutionError as error:
            sys.stderr.write(f"{known[name]}: {error}\n")
            return 1
        sys.stdout.write(f"{name}: executed in {time.monotonic() - started:.0f} s\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
