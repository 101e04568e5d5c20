# SPDX-License-Identifier: Apache-2.0
"""Detection sets in VOC layout, from small folders and archives made by hand."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from stemcore.models.data import find_data, load_class_names, load_dataset, resolve_dataset
from stemcore.models.data.digit_boxes import load_digit_boxes
from stemcore.models.data.voc import CLASS_NAMES, load_voc, read_annotation
from stemcore.models.errors import DataError

SHAPE = (3, 32, 32)


def annotation(*objects):
    """XML of objects ``(name, (xmin, ymin, xmax, ymax), difficult)``; difficult None: no entry."""
    text = ""
    for name, (x0, y0, x1, y1), difficult in objects:
        entry = "" if difficult is None else f"<difficult>{difficult}</difficult>"
        text += (
            f"<object><name>{name}</name>{entry}<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        )
    return f"<annotation>{text}</annotation>"


def write_set(root, lists, objects, size=(40, 20)):
    """A VOC tree below ``root``; ``lists`` by split name, ``objects`` by image id."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for name, ids in lists.items():
        # Lists of one class carry a column of its own, which is not read here.
        (root / "ImageSets/Main" / f"{name}.txt").write_text("".join(f"{i}  1\n" for i in ids))
    for image_id, found in objects.items():
        (root / f"Annotations/{image_id}.xml").write_text(annotation(*found))
        Image.new("RGB", size, (200, 10, 10)).save(root / f"JPEGImages/{image_id}.jpg")
    return root


@pytest.fixture
def tree(tmp_path):
    """Two training images and a test image of 40 x 20 pixels."""
    return write_set(
        tmp_path / "VOCdevkit" / "VOC2007",
        {"train": ["a", "b"], "val": ["c"]},
        {
            "a": [("dog", (1, 1, 10, 20), 0), ("cat", (11, 6, 40, 20), 1)],
            "b": [],
            "c": [("person", (21, 1, 99, 10), None)],
        },
    )


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_tree_is_found_and_boxes_follow_the_picture(tree, depth):
    folder = (tree, tree.parent, tree.parent.parent)[depth]
    data = load_dataset("voc", SHAPE, folder)
    assert data.class_names == CLASS_NAMES
    assert data.train_images.shape == (2, *SHAPE)
    # 40 x 20 becomes 32 x 16, with eight rows above and below.
    np.testing.assert_allclose(data.train_objects.boxes[0], [[0, 8, 8, 24], [8, 12, 32, 24]])
    names = [data.class_names[label] for label in data.train_objects.classes[0]]
    assert names == ["dog", "cat"]
    assert data.train_objects.difficult.tolist() == [[False, True], [False, False]]
    assert data.train_objects.classes[1].tolist() == [-1, -1]
    # What lies outside the picture is cut off.
    np.testing.assert_allclose(data.test_objects.boxes[0, 0], [16, 8, 32, 16])
    assert data.provenance == "VOC layout, train and val lists of VOC2007"


def test_tar_archive_gives_the_same_as_the_folder(tree, tmp_path):
    place = tmp_path / "archive"
    place.mkdir()
    with tarfile.open(place / "voc2007.tar", "w") as archive:
        archive.add(tree.parent, "VOCdevkit")
    packed, plain = load_dataset("voc", SHAPE, place), load_dataset("voc", SHAPE, tree)
    np.testing.assert_array_equal(packed.train_images, plain.train_images)
    np.testing.assert_array_equal(packed.train_objects.boxes, plain.train_objects.boxes)
    assert packed.provenance == "VOC layout, train and val lists of voc2007.tar"
    (place / "voc2007.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(DataError, match=r"^.*voc2007\.tar: must be a tar archive; reading it gave"):
        load_dataset("voc", SHAPE, place)


@pytest.mark.parametrize(
    ("lists", "train", "test"),
    [
        ({"train": "ab", "val": "c", "trainval": "abc"}, 2, 1),
        ({"train": "a", "val": "b", "trainval": "ab", "test": "c"}, 2, 1),
        ({"train": "a", "test": "bc"}, 1, 2),
    ],
)
def test_no_image_is_in_both_splits(tmp_path, lists, train, test):
    objects = {i: [("dog", (1, 1, 9, 9), 0)] for i in "abc"}
    data = load_voc(write_set(tmp_path / "set", lists, objects), SHAPE)
    assert (len(data.train_images), len(data.test_images)) == (train, test)
    few = load_voc(tmp_path / "set", SHAPE, n_train=1, n_test=0)
    assert (len(few.train_images), len(few.test_images)) == (1, 0)


def test_other_classes_are_taken_from_the_annotations(tmp_path):
    write_set(
        tmp_path / "set",
        {"train": ["a"], "val": ["b"]},
        {"a": [("zebra", (1, 1, 9, 9), 0)], "b": [("dog", (1, 1, 9, 9), 0)]},
    )
    assert load_class_names("voc", tmp_path / "set") == ("dog", "zebra")


def test_digit_boxes_survive_the_layout(tmp_path):
    """The self-made set, written in VOC layout without loss, is read back."""
    made = load_digit_boxes((3, 48, 48), n_train=3, n_test=2)
    root = tmp_path / "VOC2007"
    objects = {}
    for split in ("train", "test"):
        rows = getattr(made, f"{split}_objects")
        for i in range(len(rows)):
            objects[f"{split}{i}"] = [
                (made.class_names[label], (x0 + 1, y0 + 1, x1, y1), 0)
                for (x0, y0, x1, y1), label in zip(rows.boxes[i], rows.classes[i], strict=True)
                if label >= 0
            ]
    write_set(
        root,
        {"train": [f"train{i}" for i in range(3)], "val": [f"test{i}" for i in range(2)]},
        objects,
        size=(48, 48),
    )
    read = load_dataset("voc", (3, 48, 48), tmp_path)
    names = read.class_names
    for split in ("train", "test"):
        rows, wanted = getattr(read, f"{split}_objects"), getattr(made, f"{split}_objects")
        np.testing.assert_array_equal(rows.boxes, wanted.boxes)
        assert [[names[i] if i >= 0 else "" for i in row] for row in rows.classes] == [
            [made.class_names[i] if i >= 0 else "" for i in row] for row in wanted.classes
        ]


BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>{}</ymax></bndbox>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "must be an annotation with name and bndbox"),
        ("<a><object><name>dog</name></object></a>", "must be an annotation with name and bndbox"),
        (f"<a><object>{BOX.format(9)}</object></a>", "must be an annotation with name and bndbox"),
        (f"<a><object><name>d</name>{BOX.format('x')}</object></a>", "must be an annotation with"),
        (
            f"<a><object><name>d</name>{BOX.format('nan')}</object></a>",
            "must be an annotation with",
        ),
        ("\udcff", "must be an annotation with name and bndbox for every object; reading it gave"),
        (
            '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
            "must not have a document type; one came; remove",
        ),
        ("<!doctype a><a/>", "must be an annotation with name and bndbox"),
    ],
)
def test_other_annotations_are_refused(text, message):
    raw = text.encode("utf-8", "surrogateescape")
    with pytest.raises(DataError, match=rf"^x/a\.xml: {message}"):
        read_annotation(raw, "x/a.xml")


def test_missing_parts_are_refused(tree, tmp_path):
    (tree / "JPEGImages/b.jpg").unlink()
    with pytest.raises(
        DataError,
        match=r"^.*VOC2007/JPEGImages/b\.jpg: the file must exist and be "
        r"readable; No such file or directory came; get",
    ):
        load_dataset("voc", SHAPE, tree)
    write_set(tmp_path / "VOCdevkit" / "VOC2012", {"train": ["a"], "val": ["a"]}, {"a": []})
    with pytest.raises(
        DataError,
        match=r"^.*VOCdevkit: must hold one folder ImageSets/Main with "
        r"lists of images; 2 came; name the folder of one year",
    ):
        load_voc(tmp_path / "VOCdevkit", SHAPE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError,
        match=r"^voc: a folder with Annotations, JPEGImages and .* must "
        r"be found; .* or use the dataset digit_boxes$",
    ):
        find_data("voc", tmp_path / "empty")


def test_a_path_is_resolved_to_its_layout(tree, tmp_path):
    assert resolve_dataset(str(tree)) == ("voc", tree)
    assert resolve_dataset("digits", "somewhere") == ("digits", "somewhere")
    with pytest.raises(
        DataError,
        match=r"^dataset: a path must lead to a folder or a file; nothing is at .*/nothing; check",
    ):
        resolve_dataset(str(tmp_path / "nothing"))


HEAD = '<?xml version="1.0" encoding="{}"?>'
OBJECT = (
    "<annotation>{}<object><name>cat</name><bndbox><xmin>{}</xmin><ymin>2</ymin>"
    "<xmax>{}</xmax><ymax>30</ymax></bndbox></object></annotation>"
)


def one_image(root, suffix=".jpg", image_id="a", text=None, raw=None, listed=None, kind="xml"):
    """A tree with one picture in both lists."""
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for split in ("train", "val"):
        line = f"{image_id}\n".encode() if listed is None else listed
        (root / "ImageSets/Main" / f"{split}.txt").write_bytes(line)
    Image.new("RGB", (40, 40)).save(root / "JPEGImages" / (image_id + suffix))
    raw = (text or OBJECT.format("", 2, 30)).encode() if raw is None else raw
    (root / "Annotations" / f"{image_id}.{kind}").write_bytes(raw)
    return load_voc(root, SHAPE)


@pytest.mark.parametrize(
    "variant",
    [
        {"suffix": ".png"},
        {"suffix": ".JPG"},
        {"kind": "XML"},
        {"image_id": "my cat"},
        {"image_id": "my cat", "listed": b"my cat  1\r\n"},
        {"listed": b"\xef\xbb\xbfa\r\n"},
        {
            "raw": (HEAD.format("ISO-8859-1") + OBJECT.format("<x>\xe9t\xe9</x>", 2, 30)).encode(
                "latin-1"
            )
        },
        {"raw": (HEAD.format("UTF-16") + OBJECT.format("<x>\xe9</x>", 2, 30)).encode("utf-16")},
        {"raw": b"\xef\xbb\xbf" + OBJECT.format("", 2, 30).encode()},
        {"text": OBJECT.format("", 30, 2)},
    ],
)
def test_common_variants_have_their_object(tmp_path, variant):
    data = one_image(tmp_path, **variant)
    assert (data.test_objects.classes >= 0).sum() == 1
    expected = np.array([1, 1, 30, 30]) * (np.array(SHAPE)[[2, 1, 2, 1]] / 40)
    np.testing.assert_allclose(data.test_objects.boxes[0, 0], expected, atol=1e-5)
    swapped = "text" in variant
    # The picture is in both lists.
    assert data.notes == (("2 boxes with exchanged corners put right",) if swapped else ())


def test_objects_outside_the_picture_are_counted(tmp_path):
    data = one_image(tmp_path, text=OBJECT.format("", 50, 60))
    assert (data.test_objects.classes >= 0).sum() == 0
    (note,) = data.notes
    assert note.startswith("2 objects left out: outside the picture")


def test_an_empty_list_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"^.*ImageSets/Main/.*\.txt: must list images, one id a l"):
        one_image(tmp_path, listed=b"\n")


def test_a_document_type_is_seen_in_any_encoding(tmp_path):
    text = HEAD.format("UTF-16") + "<!DOCTYPE a><annotation/>"
    with pytest.raises(DataError, match=r"^x\.xml: must not have a document type; one came"):
        read_annotation(text.encode("utf-16"), "x.xml")
