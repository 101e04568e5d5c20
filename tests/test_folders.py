# SPDX-License-Identifier: Apache-2.0
"""Where results and built things go: looked up at use, and never where the package lies."""

from pathlib import Path

import pytest

from stemcore import folders


def test_results_lie_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folders.results() == tmp_path / "sim_build"
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert folders.results() == tmp_path / "other" / "sim_build"


def test_cache_is_the_users_unless_a_variable_names_it(tmp_path, monkeypatch):
    monkeypatch.delenv("STEMCORE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert folders.cache() == tmp_path / "xdg" / "stemcore"
    monkeypatch.setenv("STEMCORE_CACHE", str(tmp_path / "own"))
    assert folders.cache() == tmp_path / "own"
    assert folders.engines() == tmp_path / "own" / "engines"
    monkeypatch.setenv("STEMCORE_CACHE", "")
    assert folders.cache() == tmp_path / "xdg" / "stemcore"


def test_relative_cache_is_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEMCORE_CACHE", "here")
    assert folders.cache() == tmp_path / "here"
    monkeypatch.setenv("STEMCORE_CACHE", "~/there")
    assert folders.cache() == Path.home() / "there"


@pytest.mark.parametrize("name", ["my cache", "a$b", "a:b", "it's", "tab\there", "a%b"])
def test_cache_that_make_cannot_build_in_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("STEMCORE_CACHE", str(tmp_path / name))
    message = r"^cache: its path must have no spaces .*; set STEMCORE_CACHE to another folder$"
    with pytest.raises(ValueError, match=message):
        folders.cache()


def test_folder_that_make_cannot_name_has_a_link_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMCORE_CACHE", str(tmp_path / "cache"))
    plain, spaced = tmp_path / "plain", tmp_path / "my $libraries"
    for folder in (plain, spaced):
        folder.mkdir()
        (folder / "library.so").write_text(folder.name)
    assert folders.named_for_make(plain) == plain
    link = folders.named_for_make(spaced)
    assert folders.suits_make(link)
    assert link.is_relative_to(tmp_path / "cache")
    assert (link / "library.so").read_text() == "my $libraries"
    assert folders.named_for_make(spaced) == link
