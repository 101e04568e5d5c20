# SPDX-License-Identifier: Apache-2.0
"""Programs with one field changed: what the checks of the engines are tried on."""

from dataclasses import replace

import numpy as np

from stemcore.golden.program.program import Program
from stemcore.golden.program.words import pack_words, unpack_words
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control


def with_memory(program: Program, core: int, memory: Memory, chunks: np.ndarray) -> Program:
    """The program with other chunks in one memory."""
    image = program.cores[core]
    image = replace(image, memories={**image.memories, memory: chunks})
    cores = (*program.cores[:core], image, *program.cores[core + 1 :])
    return replace(program, cores=cores)


def with_field(program: Program, core: int, memory: Memory, word: int, **changes: int) -> Program:
    """The program with other values in fields of one memory word."""
    layout = Formats(program.params).memory(memory)[0]
    columns = unpack_words(layout, program.cores[core].memories[memory])
    for field, value in changes.items():
        columns[field][word] = value
    return with_memory(program, core, memory, pack_words(layout, columns))


def with_register(program: Program, core: int, register: Control, value: int) -> Program:
    """The program with another value in one register of CONTROL."""
    chunks = program.cores[core].memories[Memory.CONTROL].copy()
    chunks[register] = value
    return with_memory(program, core, Memory.CONTROL, chunks)


def shortened(program: Program, core: int, memory: Memory, words: int) -> Program:
    """The program with only the first words of one memory in use."""
    return with_memory(program, core, memory, program.cores[core].memories[memory][:words])
