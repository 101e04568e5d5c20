# SPDX-License-Identifier: Apache-2.0
"""Verilator from its Python package: mended once, then used to compile RTL to programs.

The package's binary works; its include folder was written for the machine that it was built on.
:func:`verilator_root` makes a copy that works here.
"""

import importlib.metadata
import importlib.resources
import logging
import platform
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemcore.folders import cache, suits_make

from .process import ToolError, built_once, content_key, find_program, run

PACKAGE = "verilator"
SOURCES = "sources"  # folder of a build that holds copies of what it is made from
COMPILER_HINT = "install a C++20 compiler, on Debian: apt-get install g++"
LAUNCHER = """\
#!/bin/sh
# Calls Verilator with the include folder that works on this machine.
VERILATOR_ROOT={quoted}
export VERILATOR_ROOT
case "$1" in
    # The packaged binary does not know its version.
    --version|-version) echo "Verilator {version}"; exit 0 ;;
esac
exec "$VERILATOR_ROOT/bin/verilator_bin" "$@"
"""

# Verilator's run-time library is most of the build of a small design and the same for all of them.
OBJECT_CACHE = """\
#!/bin/sh
# COMPILER ... -o OUT SOURCE: compiles, keeping the objects of the run-time library.
for source; do output=$last; last=$source; done
case "$source" in
    {quoted}/include/*) ;;
    *) exec "$@" ;;
esac
key=$({{ "$1" -dumpfullversion -dumpmachine; printf '%s\\n' "$@"; }} | sha256sum | cut -c1-32)
cd_objects() {{ cd {quoted}/objects; }}
kept={quoted}/objects/$key.o
# The sum comes last, so that an object without it, or with another one, is made again.
if (cd_objects && sha256sum --check --status "$key.sum") 2> /dev/null; then
    cp "$kept" "$output"
else
    "$@" || exit
    cp "$output" "$kept.$$" && mv "$kept.$$" "$kept"
    (cd_objects && sha256sum "$key.o" > "$key.sum.$$" && mv "$key.sum.$$" "$key.sum")
fi
"""

# What Verilator's configure step finds out for g++ on Linux.
_MAKE_VARIABLES = {
    "AR": "ar",
    "CXX": "g++",
    "LINK": "g++",
    "PERL": "perl",
    "PYTHON3": "python3",  # process.environment puts our own first
    "CFG_CXXFLAGS_STD": "-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_NO_UNUSED": " ".join(
        [
            "-faligned-new",
            "-fcf-protection=none",
            "-Wno-bool-operation",
            "-Wno-sign-compare",
            "-Wno-shadow",
            "-Wno-subobject-linkage",
            "-Wno-tautological-compare",
            "-Wno-uninitialized",
            "-Wno-unused-but-set-parameter",
            "-Wno-unused-but-set-variable",
            "-Wno-unused-parameter",
            "-Wno-unused-variable",
        ]
    ),
    "CFG_LDLIBS_THREADS": "-pthread -latomic",
}

_log = logging.getLogger(__name__)


def verilator_version() -> str:
    """Verilator's own spelling of the packaged version: 5.048 for the package 5.48.0."""
    major, minor, *_ = importlib.metadata.version(PACKAGE).split(".")
    return f"{major}.{int(minor):03d}"


def verilator_root() -> Path:
    """Folder to use as ``VERILATOR_ROOT``; made at the first call, then kept in the cache.

    ``bin/verilator`` in it sets the variable itself: putting :func:`launcher_folder` on ``PATH``
    is enough for any program that looks for Verilator.
    """
    package = importlib.metadata.version(PACKAGE)
    source = Path(str(importlib.resources.files(PACKAGE)))
    out_dir = cache() / "toolchain"
    # The scripts in it name the folder itself.
    key = content_key([Path(__file__)], package, str(out_dir), platform.machine())
    with built_once(out_dir, f"verilator-{package}", key) as (root, empty):
        if empty:
            # Real copies: Verilator's hierarchical mode does not follow links.
            shutil.copytree(source / "include", root / "include")
            shutil.copytree(source / "bin", root / "bin")
            _mend_make_variables(root / "include" / "verilated.mk")
            _mend_version(root / "include" / "verilated_config.h")
            (root / "objects").mkdir()
            for name, text in (("verilator", LAUNCHER), ("object_cache", OBJECT_CACHE)):
                script = root / "bin" / name
                quoted = shlex.quote(str(root))
                script.write_text(text.format(quoted=quoted, version=verilator_version()))
                script.chmod(0o755)
    return root


def launcher_folder() -> Path:
    """Folder whose ``verilator`` program works when called by name."""
    return verilator_root() / "bin"


def _mend_make_variables(path: Path) -> None:
    text = path.read_text()
    for name, value in _MAKE_VARIABLES.items():
        text, count = re.subn(rf"(?m)^{name} *=.*$", f"{name} = {value}", text)
        if count == 0:
            raise ToolError(f"{path}: no line sets {name}; the package has changed, mend this file")
    path.write_text(text)


def _mend_version(path: Path) -> None:
    major, minor = verilator_version().split(".")
    number = int(major) * 1_000_000 + int(minor) * 1_000
    line = f"#define VERILATOR_VERSION_INTEGER {number}"
    text, count = re.subn(r"(?m)^#define VERILATOR_VERSION_INTEGER\b.*$", line, path.read_text())
    if count != 1:
        raise ToolError(f"{path}: one VERILATOR_VERSION_INTEGER must be set; {count} are")
    path.write_text(text)


@dataclass(frozen=True)
class BuildOptions:
    """How Verilator and the C++ compiler are called.

    flags, cflags, ldflags : more options of Verilator, the C++ compiler and the linker
    trace : compile wave tracing in
    optimize : compiler level of the model and the run-time library
    jobs : compiler processes side by side
    """

    flags: Sequence[str] = ()
    cflags: Sequence[str] = ()
    ldflags: Sequence[str] = ()
    trace: Literal["fst", "vcd"] | None = None
    optimize: str = "-O2"
    jobs: int = 2


def verilate(
    sources: Sequence[Path],
    *,
    top: str,
    out_dir: Path,
    cpp_sources: Sequence[Path] = (),
    depends: Sequence[Path] = (),
    name: str | None = None,
    prefix: str | None = None,
    kind: Literal["program", "library", "bench"] = "program",
    options: BuildOptions = BuildOptions(),
) -> Path:
    """Compile Verilog to an executable or a shared library, and return its path.

    The result depends on the names and bytes of all files, wherever they lie, and on every option;
    while none of them changes it is built once, in ``out_dir/NAME-HASH/``, also when several
    processes ask for it. It is built from copies of the files in one folder, so that their own path
    may hold anything; they include each other by name, and no two may have the same.

    Parameters
    ----------
    sources : Verilog, SystemVerilog and Verilator control (.vlt) files.
    top : the top module.
    out_dir : folder that keeps the results; the cache does where its path has a space or another
        character that make cannot build with.
    cpp_sources : C++ files linked in: ``main()``, or the functions that a library exports.
    depends : further files the result depends on: headers, Verilog includes.
    name : name of the result, default ``top``; libraries are called ``libNAME.so``.
    prefix : C++ class of the model, default ``"V" + top``.
    kind : an executable, a shared library, or an executable without C++ sources, whose ``main()``
        is Verilator's own and runs a bench with delays.
    """
    files, hashed = _checked_files(top, sources, cpp_sources, depends, kind)
    name = top if name is None else name
    prefix = f"V{top}" if prefix is None else prefix
    target = f"lib{name}.so" if kind == "library" else name
    root = verilator_root()

    command = [root / "bin" / "verilator", *_arguments(top, prefix, target, kind, options)]
    optimizing = [f"OPT_FAST={options.optimize}", f"OPT_GLOBAL={options.optimize}", "OPT_SLOW=-O0"]

    compiler = find_program("g++", hint=COMPILER_HINT)
    key = content_key(hashed, root.name, [str(word) for word in command], optimizing)
    with built_once(_build_folder(out_dir), name, key) as (folder, empty):
        if empty:
            log = folder / "build.log"
            _log.info("%s: Verilog to C++ (log: %s)", name, log)
            # Make, which compiles the C++ files, cannot name a file in a path with spaces.
            (folder / SOURCES).mkdir()
            for file in hashed:
                shutil.copyfile(file, folder / SOURCES / file.name)
            command += ["-CFLAGS", f"-I{SOURCES}", f"-I{SOURCES}"]
            copies = [f"{SOURCES}/{file.name}" for file in files]
            run([*command, *copies], cwd=folder, log=log)
            _log.info("%s: C++ to machine code, once; kept for later runs", name)
            run(
                [
                    "make",
                    "-j",
                    str(options.jobs),
                    "-f",
                    f"{prefix}.mk",
                    f"CXX={compiler}",
                    f"LINK={compiler}",
                    f"OBJCACHE={root / 'bin' / 'object_cache'}",
                    *optimizing,
                ],
                cwd=folder,
                log=log,
            )
            # Objects and precompiled headers are most of the disk space and of no further use.
            for pattern in ("*.o", "*.gch", "*.a", "*.d"):
                for file in folder.glob(pattern):
                    file.unlink()
    return folder / target


def _build_folder(out_dir: Path) -> Path:
    """``out_dir``; where make cannot build, for a character of its path, a folder of the cache."""
    folder = Path(out_dir).resolve()
    return folder if suits_make(folder) else cache() / "builds"


def _checked_files(
    top: str,
    sources: Sequence[Path],
    cpp_sources: Sequence[Path],
    depends: Sequence[Path],
    kind: str,
) -> tuple[list[Path], list[Path]]:
    """Files that Verilator is given, and all that the result depends on."""
    if kind == "bench" and cpp_sources:
        raise ValueError(f"{top}: a bench brings its own main(); pass no C++ sources")
    if kind != "bench" and not cpp_sources:
        raise ValueError(f"{top}: pass C++ sources that drive the model, or kind='bench'")
    files = [Path(file).resolve() for file in [*sources, *cpp_sources]]
    hashed = files + [Path(file).resolve() for file in depends]
    for file in hashed:
        if not file.is_file():
            raise ToolError(f"{top}: source file {file} does not exist")
    names = Counter(file.name for file in hashed)
    if twice := [file for file, count in names.items() if count > 1]:
        raise ValueError(f"{top}: files must have different names, several are called {twice[0]}")
    return files, hashed


def _arguments(
    top: str, prefix: str, target: str, kind: str, options: BuildOptions
) -> list[str | Path]:
    # Warnings of generated Verilog stay in the log; errors still stop the run.
    words: list[str | Path] = ["-Wno-fatal", "--prefix", prefix, "--top-module", top]
    words += ["-o", target, "--Mdir", "."]
    # Verilator's --binary would also start make, without our options: these are its other parts.
    words += ["--cc", "--exe"] + (["--main", "--timing"] if kind == "bench" else [])
    if options.trace is not None:
        words += [f"--trace-{options.trace}"]
    cflags, ldflags = (["-fPIC"], ["-shared"]) if kind == "library" else ([], [])
    for flag in [*cflags, *options.cflags]:
        words += ["-CFLAGS", flag]
    for flag in [*ldflags, *options.ldflags]:
        words += ["-LDFLAGS", flag]
    return [*words, *options.flags]
