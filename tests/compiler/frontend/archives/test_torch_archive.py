# SPDX-License-Identifier: Apache-2.0
"""Archives are read without executing anything that stands in them."""

import contextlib
import json
import pickle
import re
import zipfile

import pytest
import torch
from torch import nn

from stemcore.compiler.errors import CaptureError
from stemcore.compiler.frontend.archives.torch_archive import load_program
from tests.support.archives import Harmful, harmful_pickle, rewrite, save

BATCH = torch.export.Dim("batch")
WEIGHTS = "weights/model_weights_config.json"
CONSTANTS = "constants/model_constants_config.json"
GRAPH = "models/model.json"


class Net(nn.Module):
    """Tied weights, a buffer, a constant, an output nobody needs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.conv = nn.Conv2d(2, 4, 3)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 4, 3, padding=1)
        self.last.weight = self.again.weight
        self.register_buffer("table", torch.randn(4, 3))

    def forward(self, x):
        y = self.again(torch.relu(self.conv(x)))
        y.sum(1)
        return self.last(torch.relu(y)).mean((2, 3)) @ self.table + torch.tensor(2.0)


@pytest.fixture
def path(tmp_path):
    return save(tmp_path / "net.pt2", Net().eval(), torch.zeros(2, 2, 6, 6))


@pytest.fixture
def free(tmp_path):
    shapes = ({0: BATCH},)
    example = torch.zeros(2, 2, 6, 6)
    return save(tmp_path / "net.pt2", Net().eval(), example, dynamic_shapes=shapes)


@pytest.mark.medium
@pytest.mark.parametrize(
    "shapes",
    [None, ({0: BATCH},), ({0: torch.export.Dim("n", min=2, max=9)},)],
    ids=["static", "dynamic", "bounded"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64, torch.bfloat16])
def test_program_is_what_torch_would_read(tmp_path, shapes, dtype):
    module, images = Net().eval().to(dtype), torch.randn(2, 2, 6, 6).to(dtype)
    path = save(tmp_path / "net.pt2", module, images, dynamic_shapes=shapes)
    ours, theirs = load_program(path), torch.export.load(path)
    assert str(ours.graph) == str(theirs.graph)
    assert ours.graph_signature == theirs.graph_signature
    assert ours.range_constraints == theirs.range_constraints
    with torch.no_grad():
        assert torch.equal(ours.module()(images), module(images))
    assert ours.state_dict.keys() == theirs.state_dict.keys()
    for name, tensor in theirs.state_dict.items():
        assert torch.equal(ours.state_dict[name], tensor), name
        assert isinstance(ours.state_dict[name], type(tensor)), name
    tied = [ours.state_dict[f"{name}.weight"].data_ptr() for name in ("again", "last")]
    assert tied[0] == tied[1]


@pytest.mark.medium
@pytest.mark.parametrize("outputs", [tuple, list, dict])
def test_nested_outputs_come_back_as_they_were(tmp_path, outputs):
    class Several(nn.Module):
        def forward(self, x):
            return outputs([("a", x + 1), ("b", x - 1)]) if outputs is dict else outputs([x, -x])

    images = torch.randn(2, 1, 3, 3)
    path = save(tmp_path / "net.pt2", Several(), images)
    got, want = load_program(path).module()(images), Several()(images)
    assert type(got) is outputs
    pairs = zip(*(v.values() if outputs is dict else v for v in (got, want)), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


# What would run code ------------------------------------------------------------------------------
def replace_text(old, new):
    """A change of a JSON part: every text ``old`` in it becomes ``new``."""
    quoted = json.dumps(new)

    def change(document):
        text = json.dumps(document)
        assert json.dumps(old) in text
        return json.loads(text.replace(json.dumps(old), quoted))

    return change


def first_node(**fields):
    """A change of the graph: its first call gets other fields."""

    def change(document):
        document["graph_module"]["graph"]["nodes"][0].update(fields)

    return change


def pickled(name):
    """A change of a list of tensors: one of them is to be unpickled."""

    def change(document):
        document["config"][name]["use_pickle"] = True

    return change


def no_trace(trace, action, message):
    with pytest.raises(CaptureError, match=message):
        action()
    assert not trace.exists()


def test_the_harmful_pickle_is_harmful(tmp_path):
    """What the tests below must not leave behind."""
    trace = tmp_path / "trace"
    pickle.loads(harmful_pickle(trace))
    assert trace.exists()


@pytest.mark.medium
def test_sample_inputs_are_never_unpickled(path, tmp_path):
    trace = tmp_path / "trace"
    rewrite(path, {"sample_inputs/model.pt": lambda _: harmful_pickle(trace)})
    load_program(path)
    assert not trace.exists()
    with contextlib.suppress(Exception):
        torch.export.load(path)
    assert trace.exists()  # the archive is harmful


@pytest.mark.parametrize(
    ("config", "part"), [(WEIGHTS, "weights/weight_0"), (CONSTANTS, "constants/tensor_9")]
)
def test_pickled_tensors_are_refused(path, tmp_path, config, part):
    trace = tmp_path / "trace"

    def change(document):
        meta = {"path_name": part.partition("/")[2], "is_param": True, "use_pickle": True}
        document["config"]["conv.weight"] = {**meta, "tensor_meta": None}

    add = {f"data/{part}": harmful_pickle(trace)} if config is CONSTANTS else {}
    swap = {f"/{part}": lambda _: harmful_pickle(trace)} if config is WEIGHTS else {}
    rewrite(path, {config: change, **swap}, add)
    no_trace(trace, lambda: load_program(path), "pickled Python objects, 'conv.weight' first")


@pytest.mark.parametrize("prefix", ["custom_obj_0", "opaque_obj_0"])
def test_pickled_objects_are_refused(path, tmp_path, prefix):
    trace = tmp_path / "trace"

    def change(document):
        meta = {"path_name": prefix, "is_param": False, "use_pickle": True, "tensor_meta": None}
        document["config"]["thing"] = meta

    rewrite(path, {CONSTANTS: change}, {f"data/constants/{prefix}": harmful_pickle(trace)})
    no_trace(trace, lambda: load_program(path), "constants that are pickled Python objects")


@pytest.mark.medium
def test_symbolic_sizes_are_not_evaluated(free, tmp_path):
    trace = tmp_path / "trace"
    with zipfile.ZipFile(free) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(GRAPH)]
        symbol = re.search(r"Symbol\('s\d+'[^)]*\)", archive.read(name).decode()).group()
    harm = f"__import__('os').mkdir({str(trace)!r})"
    for text in (harm, f"{symbol} + 0*len({harm!r})", f"Symbol({harm})", "9**9**9**9", "s0.x"):
        rewrite(free, {GRAPH: replace_text(symbol, text)})
        no_trace(trace, lambda: load_program(free), "a symbolic size must be arithmetic")
        if text is harm:
            with contextlib.suppress(Exception):
                torch.export.load(free)
            trace.rmdir()  # the archive is harmful
        rewrite(free, {GRAPH: replace_text(text, symbol)})
    load_program(free)


@pytest.mark.medium
def test_guards_are_not_compiled(path, tmp_path):
    trace = tmp_path / "trace"

    def change(document):
        document["guards_code"] = [f"__import__('os').mkdir({str(trace)!r}) is None"]

    images = torch.randn(2, 2, 6, 6)
    load_program(rewrite(path, {GRAPH: change})).module()(images)
    assert not trace.exists()
    with contextlib.suppress(Exception):
        torch.export.load(path).module()(images)
    assert trace.exists()  # the archive is harmful


def test_the_form_of_older_releases_is_refused(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", harmful_pickle(trace))
        archive.writestr("version", "8.8")
    no_trace(trace, lambda: load_program(path), "of the form before torch 2.8, whose weights are")


def test_weights_in_one_pickle_are_refused(path, tmp_path):
    """The archives of torch 2.8."""
    trace = tmp_path / "trace"
    with zipfile.ZipFile(path) as archive:
        parts = {n: archive.read(n) for n in archive.namelist() if "/data/weights/" not in n}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**parts, "net/data/weights/model.pt": harmful_pickle(trace)}.items():
            archive.writestr(name, data)
    no_trace(trace, lambda: load_program(path), "has no list of raw weights: those of older")


def test_compiled_libraries_are_refused(path, tmp_path):
    rewrite(path, add={"data/aotinductor/model/code.so": b"\x7fELF"})
    with pytest.raises(CaptureError, match=r"holds compiled libraries .* nothing in an archive is"):
        load_program(path)


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.aten._index_put_impl_.default",
        "torch.ops.aten.set_.source_Storage",
        "torch.ops.higher_order.cond",
        "torch.ops.profiler._record_function_enter_new.default",
        "torch.load",
        "torch.hub.load",
        "torch._C._jit_set_profiling_mode",
        "torch.os.system",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "math.sqrt",
        "#extension:thing",
        "os.system",
        "torch.ops.aten.relu.default; import os",
    ],
)
def test_calls_of_anything_but_tensor_operators_are_refused(path, target):
    rewrite(path, {GRAPH: first_node(target=target)})
    with pytest.raises(CaptureError, match=r"the graph calls '.*', which is no operator on"):
        load_program(path)


def test_names_that_would_become_code_are_refused(path, tmp_path):
    """torch writes a Python function with these names in it, and runs that."""
    trace = tmp_path / "trace"
    harm = f"x=__import__('os').mkdir({str(trace)!r})"
    for old in ("x", "conv2d", "p_conv_weight"):
        rewrite(path, {GRAPH: replace_text(old, harm)})
        no_trace(trace, lambda: load_program(path), "cannot be the name of a value")
        rewrite(path, {GRAPH: replace_text(harm, old)})
    rewrite(path, {GRAPH: replace_text("conv.weight", "__class__.x")})
    no_trace(trace, lambda: load_program(path), "'__class__.x' cannot be the name of a weight")


@pytest.mark.parametrize("kind", ["collections.namedtuple", "torch.Size", "os.system"])
def test_types_of_nested_outputs_are_not_imported(path, kind):
    leaf = '{"type": null, "context": null, "children_spec": []}'

    def change(document):
        tree = f'[1, {{"type": "{kind}", "context": "null", "children_spec": [{leaf}]}}]'
        document["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = tree

    rewrite(path, {GRAPH: change})
    with pytest.raises(CaptureError, match=f"tensors in tuples, lists and dictionaries, a {kind}"):
        load_program(path)


def test_metadata_that_nobody_needs_is_left_behind(path):
    metadata = {
        "custom": '{"a": 1}',
        "from_node": "[]",
        "source_fn_stack": "x,torch.load",
        "nn_module_stack": "L__self__,,Net;L__self___conv,conv,torch.nn.modules.conv.Conv2d",
    }
    node = next(
        node
        for node in load_program(rewrite(path, {GRAPH: first_node(metadata=metadata)})).graph.nodes
        if node.op == "call_function"
    )
    assert set(node.meta) == {"nn_module_stack", "val"}
    assert list(node.meta["nn_module_stack"].values())[-1][0] == "conv"


# What would take all memory or time ---------------------------------------------------------------
def test_compressed_parts_are_refused(path):
    rewrite(path, add={"extra/zeros": bytes(10**6)}, compress=zipfile.ZIP_DEFLATED)
    with pytest.raises(CaptureError, match="parts must be stored as they are, some are compressed"):
        load_program(path)


def test_texts_that_are_nested_without_end_are_refused(path):
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            deep = b"[" * 300_000 + b"]" * 300_000
            archive.writestr(name, deep if name.endswith(GRAPH) else data)
    with pytest.raises(CaptureError, match=r"models/model\.json is nested too deep"):
        load_program(path)


def test_tensors_beyond_all_memory_are_refused(path):
    def change(document):
        sizes = [{"as_int": 1 << 20}] * 3
        document["graph_module"]["graph"]["tensor_values"]["conv2d"]["sizes"] = sizes

    rewrite(path, {GRAPH: change})
    with pytest.raises(CaptureError, match="a tensor must have at most 2\\^31 elements"):
        load_program(path)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"sizes": [{"as_int": 5}]}, "'conv.bias' needs 5 elements, 4 are there"),
        ({"storage_offset": {"as_int": 1}}, "'conv.bias' needs 5 elements, 4 are there"),
        ({"storage_offset": {"as_int": -1}}, "'conv.bias' must not begin before its bytes"),
        ({"strides": [{"as_int": -1}]}, "'conv.bias' must not begin before its bytes"),
        ({"strides": [{"as_int": 1 << 62}]}, r"'conv.bias' needs \d+ elements"),
        ({"sizes": [{"as_int": -4}]}, "at most 2"),
        ({"sizes": "many"}, "'sizes' must be a list, is str"),
        ({"dtype": "float"}, "an integer of 64 bits must come, got 'float'"),
    ],
)
def test_tensors_outside_their_bytes_are_refused(path, meta, message):
    def change(document):
        document["config"]["conv.bias"]["tensor_meta"].update(meta)

    rewrite(path, {WEIGHTS: change})
    with pytest.raises(CaptureError, match=message):
        load_program(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {"a": 1}, "'graph_module' must be a dict, is NoneType"),
        (lambda d: [d], "'graph_module' must be a dict, is NoneType"),
        (lambda d: d.update(verifiers=["x"]), "the dialect must be one of"),
        (lambda d: d.update(range_constraints={"x+1": {}}), "cannot be the symbol of a size"),
        (lambda d: d["graph_module"]["graph"].update(nodes=[3]), "'target' must be a str"),
        (first_node(name="import"), "'import' cannot be the name of a value"),
        (first_node(inputs=[{"name": "x", "arg": {"as_graph": {}}}]), "of the kind 'as_graph'"),
        (
            first_node(inputs=[{"name": "x", "arg": {"as_string": "/etc/passwd"}}]),
            "no option of an operator",
        ),
        (
            first_node(inputs=[{"name": "x", "arg": {"as_ints": [1 << 20, 1 << 20]}}]),
            "sizes must make at most",
        ),
    ],
)
def test_graphs_of_another_form_are_refused(path, change, message):
    rewrite(path, {GRAPH: change})
    with pytest.raises(CaptureError, match=message):
        load_program(path)


def test_every_cut_of_an_archive_is_refused(path):
    data = path.read_bytes()
    for length in (0, 1, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(CaptureError, match=r"^.*net\.pt2: must be an archive of torch\.export"):
            load_program(path)


def test_a_pickle_is_no_archive(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "net.pt2"
    path.write_bytes(harmful_pickle(trace))
    no_trace(trace, lambda: load_program(path), "must be an archive of torch.export.save")
    torch.save({"a": Harmful(trace)}, path)
    no_trace(trace, lambda: load_program(path), "some are compressed|with one model, has 0")
