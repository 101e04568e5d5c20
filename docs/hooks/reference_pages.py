# SPDX-License-Identifier: Apache-2.0
"""Reference pages made from the code, so that they cannot say anything else.

Each page is a function that returns Markdown; nothing is written into the repository.
"""

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from reference_commands import command_line
from reference_hardware import memory_images, presets
from reference_registers import host_registers
from reference_report import report
from reference_uart import uart_frames

PAGES = {
    "reference/memory-images.md": memory_images,
    "reference/presets.md": presets,
    "reference/host-registers.md": host_registers,
    "reference/uart-frames.md": uart_frames,
    "reference/command-line.md": command_line,
    "reference/report.md": report,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    for name, make in PAGES.items():
        files.append(File.generated(config, name, content=make()))
    return files
