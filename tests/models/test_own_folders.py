# SPDX-License-Identifier: Apache-2.0
"""Folders as people have them: nothing of a data set is dropped or changed without a line."""

import os
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from stemcore.models.data import load_class_names, load_dataset, resolve_dataset
from stemcore.models.data.files import FolderTree, shown
from stemcore.models.errors import DataError
from stemcore.models.train import train_and_publish

SHAPE = (1, 8, 8)
GREY = {"ant": 40, "bee": 120, "cat": 200}


def write(root, classes=tuple(GREY), splits=("train", "val"), n=2, suffix="png", inside=""):
    """Pictures of one grey for each class."""
    for split in splits:
        for name in classes:
            folder = root / split / name / inside
            folder.mkdir(parents=True)
            for i in range(n):
                Image.new("L", (9, 9), GREY.get(name, 90)).save(folder / f"{i}.{suffix}")
    return root


def load(root):
    return load_dataset("imagenet", SHAPE, root)


def test_links_to_classes_and_splits_are_followed(tmp_path):
    store = write(tmp_path / "store")
    part, whole = tmp_path / "part", tmp_path / "whole"
    whole.mkdir()
    for split in ("train", "val"):
        for name in ("ant", "cat"):
            shutil.copytree(store / split / name, part / split / name)
        (part / split / "bee").symlink_to(store / split / "bee")
        (whole / split).symlink_to(store / split)
    expected = load(store)
    for root in (part, whole):
        data = load(root)
        assert data.class_names == ("ant", "bee", "cat")
        np.testing.assert_array_equal(data.train_images, expected.train_images)
        np.testing.assert_array_equal(data.test_labels, expected.test_labels)


def test_links_into_nothing_and_round_in_circles_are_errors(tmp_path):
    root = write(tmp_path / "set")
    link = root / "train" / "dog"
    link.symlink_to(root / "train")
    with pytest.raises(
        DataError, match=r"^.*train/dog: a link must not lead to a folder that it l"
    ):
        load(root)
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(
        DataError, match=r"^.*train/dog: a link must lead to .*; nothing is at .*/nowhere; mend it"
    ):
        load(root)


def test_hidden_files_and_folders_are_no_data(tmp_path):
    root = write(tmp_path)
    (root / "train/.ipynb_checkpoints").mkdir()
    Image.new("L", (9, 9)).save(root / "train/.ipynb_checkpoints/0-checkpoint.png")
    (root / "train/ant/._0.png").write_bytes(b"resource fork")
    (root / ".DS_Store").write_bytes(b"")
    data = load(root)
    assert data.class_names == ("ant", "bee", "cat")
    assert len(data.train_images) == 6
    with tarfile.open(tmp_path / "imagenet.tar", "w") as archive:
        archive.add(root / "train", "train")
        archive.add(root / "val", "val")
    packed = load_dataset("imagenet", SHAPE, tmp_path / "imagenet.tar")
    np.testing.assert_array_equal(packed.train_images, data.train_images)


@pytest.mark.parametrize("suffix", ["webp", "bmp", "JPG", "tiff", "PNG"])
def test_kinds_of_pictures(tmp_path, suffix):
    data = load(write(tmp_path, suffix=suffix))
    assert data.class_names == ("ant", "bee", "cat")
    greys = data.test_images.mean((1, 2, 3))
    np.testing.assert_allclose(greys, [tuple(GREY.values())[i] for i in data.test_labels], atol=2)


def test_pictures_may_lie_deeper(tmp_path):
    root = write(tmp_path, inside="images")
    assert load_class_names("imagenet", root) == ("ant", "bee", "cat")
    assert len(load(root).train_images) == 6


def test_other_files_are_counted(tmp_path):
    root = write(tmp_path)
    (root / "train/ant/notes.txt").write_text("x")
    (root / "train/bee/notes.txt").write_text("x")
    Image.new("L", (9, 9)).save(root / "val/lost.png")
    shutil.rmtree(root / "val/cat")
    assert load(root).notes == (
        "1 classes without a picture in val",
        "2 files of train left out: no pictures by their suffix (.txt)",
        "1 files of val left out: beside the folders of the classes",
    )


def test_a_class_without_a_picture_is_an_error(tmp_path):
    root = write(tmp_path)
    (root / "train/dog").mkdir()
    (root / "train/dog/0.heic").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"^.*: every class must have pictures \(\.jpg, .*\) in train; dog has none"
    ):
        load(root)


def test_an_empty_val_is_an_error(tmp_path):
    root = write(tmp_path, splits=("train",))
    (root / "val/ant").mkdir(parents=True)
    with pytest.raises(DataError, match=r"^.*: val must hold pictures to test with; it has none"):
        load(root)


def test_16_bits_of_grey_are_scaled_and_said(tmp_path):
    for split in ("train", "val"):
        for name, value in (("dark", 8000), ("light", 40000)):
            (tmp_path / split / name).mkdir(parents=True)
            pixels = np.full((20, 20), value, np.uint16)
            Image.fromarray(pixels).save(tmp_path / split / name / "0.png")
    data = load(tmp_path)
    assert sorted(data.train_images.mean((1, 2, 3)).tolist()) == [31, 156]
    assert data.notes == ("4 pictures of 16 bits scaled to 8",)


def test_a_broken_picture_is_named(tmp_path):
    root = write(tmp_path)
    (root / "train/bee/1.png").write_bytes((root / "train/bee/1.png").read_bytes()[:40])
    with pytest.raises(
        DataError, match=r"^.*train/bee/1\.png: must be a picture; the decoder says"
    ):
        load(root)


def test_names_that_are_no_utf8_are_shown(tmp_path):
    root = write(tmp_path, classes=("chat", os.fsdecode(b"c\xe9t")))
    data = load(root)
    assert data.class_names == ("c\\xe9t", "chat") or data.class_names == ("chat", "c\\xe9t")
    assert all(name.encode() for name in data.class_names)
    assert shown(os.fsdecode(b"c\xe9t")) == "c\\xe9t"
    assert shown("été") == "été"


def test_names_of_classes_from_a_file(tmp_path):
    root = write(tmp_path)
    (root / "classes.txt").write_bytes("\ufeffAmeise\r\nBiene\r\n\r\nKatze\r\n".encode())
    assert load_class_names("imagenet", root) == ("Ameise", "Biene", "Katze")
    (root / "classes.txt").write_text("Ameise\n")
    with pytest.raises(
        DataError, match=r"classes\.txt: must have a line for each of 3 folders .* 1 l"
    ):
        load(root)


def test_folders_of_a_tree_are_the_same_in_an_archive(tmp_path):
    root = write(tmp_path / "set", inside="images")
    (root / "train/empty").mkdir()
    assert FolderTree(root).folders("train") == ["ant", "bee", "cat", "empty"]
    assert FolderTree(root).folders("absent") == []


def test_pictures_without_labels(tmp_path):
    for i, value in enumerate((30, 60, 90)):
        Image.new("L", (9, 9), value).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("x")
    name, place = resolve_dataset(str(tmp_path))
    assert (name, place) == ("pictures", tmp_path)
    data = load_dataset(name, SHAPE, place, n_train=2)
    assert data.train_images.mean((1, 2, 3)).tolist() == [30, 60]
    assert data.test_images.mean((1, 2, 3)).tolist() == [30, 60, 90]
    assert (data.has_labels, load_class_names(name, place)) == (False, ())
    assert data.notes == (
        "1 files left out: no pictures, or in a folder further down",
        "calibrated and tested on the same pictures: there are no others",
    )


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/cat"], "which has train and no val"),
        (["cat", "dog"], "which has the folders cat, dog"),
        ([], "which has the folders none"),
    ],
)
def test_folders_of_no_layout_are_described(tmp_path, folders, message):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(
        DataError, match=rf"^dataset: a path must be .*\.npz; .* came, {message}; name"
    ):
        resolve_dataset(str(tmp_path))


def test_archives_are_resolved_by_what_is_in_them(tmp_path):
    write(tmp_path / "set")
    with tarfile.open(tmp_path / "mine.tar", "w") as archive:
        archive.add(tmp_path / "set", "mine")
    assert resolve_dataset(str(tmp_path / "mine.tar")) == ("imagenet", tmp_path / "mine.tar")
    assert len(load_dataset("imagenet", SHAPE, tmp_path / "mine.tar").train_images) == 6


def test_nothing_is_trained_without_labels_or_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (9, 9)).save(tmp_path / "0.png")
    with pytest.raises(DataError, match=r"^.*: training needs labels; there are none"):
        train_and_publish("digits_cnn", str(tmp_path))
    np.savez("floats.npz", x=np.zeros((4, *SHAPE)), y=np.arange(4))
    with pytest.raises(
        DataError, match=r"^arrays: training needs bytes of pictures, .*; float32 cam"
    ):
        train_and_publish("digits_cnn", "floats.npz", epochs=1)
