"""Outputs against inputs and each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamseg.errors import ConfigError
from streamseg.sinks.collisions import PlannedOutput, refuse_collisions


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video under several names, and a folder of images."""
    monkeypatch.chdir(tmp_path)
    Path("in.mp4").write_bytes(b"video")
    Path("hard.mp4").hardlink_to("in.mp4")
    Path("soft.mp4").symlink_to("in.mp4")
    Path("take[1] 2.mp4").write_bytes(b"video")
    Path("shots").mkdir()
    for name in ("00000000.jpg", "00000001.jpg", "notes.txt"):
        Path("shots", name).write_bytes(b"image")
    Path("way").symlink_to("shots")
    return tmp_path


@pytest.mark.parametrize("output", ["in.mp4", "./in.mp4", "hard.mp4", "soft.mp4", "shots/../in.mp4"])
@pytest.mark.parametrize("spec", ["in.mp4", "hard.mp4", "soft.mp4", "file://{}/in.mp4", "FILE:{}/hard.mp4"])
@pytest.mark.parametrize("option", ["-o", "--jsonl", "--summary"])
def test_an_input_is_not_an_output(folder: Path, spec: str, output: str, option: str) -> None:
    spec = spec.format(folder)
    with pytest.raises(ConfigError, match=r"is also the input .* would be overwritten") as caught:
        refuse_collisions([spec], [PlannedOutput(output, option)])
    for named in (spec, output, option):
        assert named in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "output"),
    [
        ("shots/*.jpg", "shots/00000001.jpg"),
        ("shots", "way/00000000.jpg"),
        ("**/*.jpg", "shots/00000000.jpg"),
        ("take[1] 2.mp4", "take[1] 2.mp4"),
        ("file:{}/take%5B1%5D%202.mp4", "take[1] 2.mp4"),
        ("*.mp4", "hard.mp4"),
    ],
)
def test_nor_is_one_of_many(folder: Path, spec: str, output: str) -> None:
    with pytest.raises(ConfigError, match="would be overwritten"):
        refuse_collisions(["synthetic", spec.format(folder)], [PlannedOutput(output, "--jsonl")])


@pytest.mark.parametrize("spec", ["shots", "shots/", "shots/*.jpg", "way", "./s*/*0.*", "way/00000001.jpg"])
@pytest.mark.parametrize("output", ["shots", "way", "shots/../shots/."])
def test_images_do_not_go_where_images_come_from(spec: str, output: str) -> None:
    with pytest.raises(ConfigError, match="--images is also where the input's images are"):
        refuse_collisions([spec], [PlannedOutput(output, "--images", is_folder=True)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x", "x"),
        ("x", "./x"),
        ("shots/x", "way/x"),
        ("x", "link"),
        ("-", "-"),
    ],
)
def test_two_outputs_are_not_one_file(one: str, other: str) -> None:
    Path("link").symlink_to("x")
    with pytest.raises(ConfigError, match=r"--summary and --jsonl would overwrite each other") as caught:
        refuse_collisions(
            [], [PlannedOutput(one, "--jsonl"), PlannedOutput("y", "-o"), PlannedOutput(other, "--summary")]
        )
    assert str(caught.value).startswith(f"{other}: ")


def test_a_folder_of_images_is_not_a_file() -> None:
    with pytest.raises(ConfigError, match="would overwrite each other"):
        refuse_collisions([], [PlannedOutput("x", "--images", is_folder=True), PlannedOutput("x", "--jsonl")])


def test_what_may_be(folder: Path) -> None:
    refuse_collisions(
        ["in.mp4", "shots", "nowhere/*.jpg", "0", "rtsp://me:pw@host/in.mp4", "synthetic", "file://host/x"],
        [
            PlannedOutput("out.mp4", "-o"),
            PlannedOutput("in.MP4", "-o"),
            PlannedOutput("shots/out.jsonl", "--jsonl"),
            PlannedOutput("shots/sub", "--images", is_folder=True),
            PlannedOutput("-", "--summary"),
        ],
    )
    refuse_collisions(["in.mp4"], [PlannedOutput(".", "--images", is_folder=True)])
    refuse_collisions([], [PlannedOutput("/dev/null", "--jsonl"), PlannedOutput("/dev/null", "--summary")])
