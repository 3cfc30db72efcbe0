"""Every layout of annotated images, and what is said of each way to be broken."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.datasets.read import read_dataset
from streamseg.errors import DatasetError

HW = (40, 60)


def picture(path: Path, size_hw: tuple[int, int] = HW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size_hw, 3), 90, np.uint8))
    return path


def yolo(folder: Path, labels: str, names: object = ("cup", "pen"), train: object = "images/train") -> Path:
    picture(folder / "images/train/a.jpg")
    picture(folder / "images/train/b.jpg")
    (folder / "labels/train").mkdir(parents=True)
    (folder / "labels/train/a.txt").write_text(labels)
    (folder / "data.yaml").write_text(json.dumps({"train": train, "names": names}))
    return folder


def mask(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)


def test_yolo_polygons_become_pixels(tmp_path: Path) -> None:
    dataset = read_dataset(yolo(tmp_path, "1 0.1 0.25 0.5 0.25 0.5 0.75 0.1 0.75\n\n"))

    first, second = dataset.images
    (found,) = first.annotations
    assert dataset.classes == ("cup", "pen")
    assert (found.class_name, found.area, first.size_hw) == ("pen", 24 * 20, HW)
    assert found.polygons[0].tolist() == [[6, 10], [30, 10], [30, 30], [6, 30]]
    assert (second.path.name, second.annotations) == ("b.jpg", ())


def test_yolo_names_as_a_mapping_and_a_list_of_files(tmp_path: Path) -> None:
    folder = yolo(tmp_path, "", names={"0": "cup"}, train="list.txt")
    (folder / "list.txt").write_text("images/train/b.jpg\n")
    (folder / "data.yaml").write_text("train: list.txt\nnames: {0: cup}\n")

    dataset = read_dataset(folder / "data.yaml")

    assert ([i.path.name for i in dataset.images], dataset.classes) == (["b.jpg"], ("cup",))


def test_yolo_with_the_paths_that_some_exports_write(tmp_path: Path) -> None:
    picture(tmp_path / "train/images/a.jpg")
    (tmp_path / "train/labels").mkdir()
    (tmp_path / "train/labels/a.txt").write_text("0 0 0 1 0 1 1")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nnames: [cup]\n")

    (image,) = read_dataset(tmp_path).images

    assert [a.area for a in image.annotations] == [HW[0] * HW[1] / 2]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("2 0 0 1 0 1 1", "class 2, of 2"),
        ("0.5 0 0 1 0 1 1", "class 0.5"),
        ("0 0.5 0.5 0.1 0.1", "a box; outlines are needed"),
        ("0 0 0 1 0 1", "5 numbers"),
        ("0 0 0 1 0 1 1.5", "corners outside 0…1"),
        ("0 0 0 1 0 1 nan", "corners outside 0…1"),
        ("cup 0 0 1 0 1 1", "could not convert"),
    ],
)
def test_a_broken_line_is_named_or_left_out(tmp_path: Path, line: str, says: str) -> None:
    folder = yolo(tmp_path, f"1 0 0 1 0 1 1\n{line}\n")

    with pytest.raises(DatasetError) as error:
        read_dataset(folder)
    told: list[str] = []
    dataset = read_dataset(folder, left_out=told.append)

    assert says in str(error.value)
    assert "a.txt, line 2" in str(error.value)
    assert told == [str(error.value)]
    assert [a.class_name for a in dataset.images[0].annotations] == ["pen"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("train: images\n", "names: expected"),
        ("names: [a]\n", "has no 'train', only no images at all"),
        ("names: [a]\nval: images\n", "only val"),
        ("names: [a]\ntrain: nowhere\n", "neither"),
        ("names: [a\n", "not YAML"),
        ("just text\n", "expected keys"),
    ],
)
def test_a_broken_data_yaml(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "data.yaml").write_text(content)
    with pytest.raises(DatasetError, match=says):
        read_dataset(tmp_path)


def test_masks_by_class_with_several_objects(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    picture(tmp_path / "images/b.jpg")
    values = np.zeros(HW, np.uint8)
    values[:10, :10], values[20:, 30:] = 1, 7
    mask(tmp_path / "masks/cup/a.png", values)
    mask(tmp_path / "masks/pen/a_1.png", np.full(HW, 255, np.uint8))
    mask(tmp_path / "masks/pen/a_2.png", (values == 7).astype(np.uint16) * 300)

    dataset = read_dataset(tmp_path)

    first, second = dataset.images
    assert dataset.classes == ("cup", "pen")
    assert [(a.class_name, a.area) for a in first.annotations] == [
        ("cup", 100),
        ("cup", 600),
        ("pen", 2400),
        ("pen", 600),
    ]
    np.testing.assert_array_equal(first.annotations[1].mask(HW), values == 7)
    assert second.annotations == ()


def test_masks_of_one_class(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.jpg")
    mask(tmp_path / "masks/a.png", np.full(HW, 255, np.uint8))

    dataset = read_dataset(tmp_path)

    assert (dataset.classes, [a.area for a in dataset.images[0].annotations]) == (("object",), [2400])


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("z.png", np.zeros(HW, np.uint8), "no image of that name"),
        ("a.jpg", np.zeros(HW, np.uint8), "masks are .png"),
        ("a.png", np.zeros((5, 5), np.uint8), "5x5, its image is 60x40"),
        ("a.png", np.dstack([np.zeros(HW), np.ones(HW), np.zeros(HW)]).astype(np.uint8), "a colour image"),
        ("a.png", np.arange(HW[0] * HW[1], dtype=np.uint16).reshape(HW), "2400 different values"),
    ],
)
def test_a_broken_mask_is_named_or_left_out(tmp_path: Path, name: str, values: np.ndarray, says: str) -> None:
    picture(tmp_path / "images/a.png")
    mask(tmp_path / "masks/cup" / name, values)

    with pytest.raises(DatasetError, match=says):
        read_dataset(tmp_path)
    told: list[str] = []
    assert read_dataset(tmp_path, left_out=told.append).images[0].annotations == ()
    assert len(told) == 1


def test_where_the_images_of_coco_are_looked_for(tmp_path: Path) -> None:
    entry = {"id": 1, "file_name": "a.jpg", "height": HW[0], "width": HW[1]}
    text = json.dumps({"images": [entry], "annotations": [], "categories": [{"id": 3, "name": "cup"}]})
    for json_file, image in (
        ("one/instances.json", "one/images/a.jpg"),
        ("two/train/_annotations.coco.json", "two/train/a.jpg"),
        ("three/annotations/instances_val2017.json", "three/val2017/a.jpg"),
    ):
        path, file = tmp_path / json_file, picture(tmp_path / image)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert read_dataset(path).images[0].path == file
    assert read_dataset(tmp_path / "two").classes == ("cup",)
    assert read_dataset(tmp_path / "one", tmp_path / "three/val2017").images[0].path.parent.name == "val2017"


@pytest.mark.parametrize(
    ("name", "says"), [("nothing", "no such file"), ("a.txt", "expected a"), ("", "known")]
)
def test_what_is_no_data_set(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DatasetError, match=says):
        read_dataset(tmp_path / name)


def test_a_picture_turned_by_its_camera(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images").mkdir()
    Image.new("RGB", HW[::-1]).save(tmp_path / "images/a.jpg", exif=exif)
    mask(tmp_path / "masks/a.png", np.full(HW[::-1], 255, np.uint8))

    (image,) = read_dataset(tmp_path).images

    assert image.size_hw == HW[::-1] == cv2.imread(str(image.path)).shape[:2]
