# SPDX-License-Identifier: Apache-2.0
"""Archives of ``torch.export.save`` with parts exchanged, for tests that must not run them."""

import json
import os
import pickle
import zipfile

import torch


class Harmful:
    """Unpickled, it makes a folder."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def harmful_pickle(trace) -> bytes:
    """What torch.load would run."""
    return pickle.dumps(Harmful(trace))


def save(path, module, *inputs, **options):
    """An archive as torch writes it by default."""
    torch.export.save(torch.export.export(module, inputs, **options), path)
    return path


def rewrite(path, changes=None, add=None, compress=zipfile.ZIP_STORED):
    """The archive with other parts in it.

    changes : by the end of a part's name, a function from its bytes, or its JSON, to new ones
    add : new parts by name, within torch's folder
    """
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(parts)).partition("/")[0]
    for end, change in (changes or {}).items():
        (name,) = [name for name in parts if name.endswith(end)]
        if end.endswith(".json"):
            document = json.loads(parts[name])
            parts[name] = json.dumps(change(document) or document).encode()
        else:
            parts[name] = change(parts[name])
    parts |= {f"{root}/{name}": data for name, data in (add or {}).items()}
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path
