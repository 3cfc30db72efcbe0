import os
import resource
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from streamseg.errors import ConfigError, SinkError
from streamseg.sinks.image_sink import ImageSink


@pytest.mark.parametrize(("kind", "psnr"), [("jpg", 35), ("png", 300)])
def test_files_are_numbered_by_frame_and_show_the_canvas(tmp_path, make_result, kind, psnr):
    image = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    sink = ImageSink(tmp_path / "new" / "folder", kind)
    sink.write(make_result(3, image=image))
    sink.write(make_result(12, image=image))
    sink.close()
    files = sorted((tmp_path / "new" / "folder").iterdir())
    assert [file.name for file in files] == [f"00000003.{kind}", f"00000012.{kind}"]
    assert cv2.PSNR(cv2.imread(str(files[0])), cv2.blur(image, (1, 1))) > (psnr if kind == "png" else 20)
    assert sink.frames == 2


def test_several_sources_keep_apart(tmp_path, make_result):
    sink = ImageSink(tmp_path, several_sources=True)
    for source_id in ["rtsp://host/a b", "rtsp://host/a/b", "../up", "rtsp://host/a b"]:
        sink.write(make_result(1, source_id=source_id))
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["rtsp_host_a_b-2_00000001.jpg", "rtsp_host_a_b_00000001.jpg", "up_00000001.jpg"]


def test_a_folder_that_cannot_be_written_is_reported_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="is a file; images need a folder"):
        ImageSink(tmp_path / "file")
    with pytest.raises(SinkError, match="/proc/images"):
        ImageSink("/proc/images")


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no image format 'bmp'; use jpg or png"):
        ImageSink(tmp_path, "bmp")


def test_an_image_that_does_not_fit_is_one_line_and_leaves_no_part(tmp_path, make_result):
    sink = ImageSink(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(SinkError, match=r"00000000\.jpg: too large"):
            sink.write(make_result())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SinkError, match="already closed"):
        sink.write(make_result())


def test_an_image_that_the_format_cannot_hold_is_one_line(tmp_path, make_result):
    sink = ImageSink(tmp_path)
    with pytest.raises(SinkError, match=r"00000000\.jpg: cannot be written: jpg cannot hold 70000x2 pixels"):
        sink.write(make_result(image=np.zeros((2, 70000, 3), np.uint8)))
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_gone_at_the_next_start(tmp_path):
    code = (
        "import os, signal, sys, pathlib\nfrom streamseg.files import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1], 'cam_00000007.jpg'), sync=False):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == -signal.SIGKILL
    (tmp_path / ".notes.txt.00000000.part").write_text("another program's")
    for part in tmp_path.iterdir():
        os.utime(part, (0, 0))
    assert len(list(tmp_path.iterdir())) == 2
    ImageSink(tmp_path)
    assert [part.name for part in tmp_path.iterdir()] == [".notes.txt.00000000.part"]


def test_a_link_of_that_name_is_replaced_and_what_it_points_to_stays(tmp_path, make_result):
    (tmp_path / "kept.jpg").write_bytes(b"kept")
    (tmp_path / "00000000.jpg").symlink_to(tmp_path / "kept.jpg")
    ImageSink(tmp_path).write(make_result())
    assert (tmp_path / "kept.jpg").read_bytes() == b"kept"
    assert not (tmp_path / "00000000.jpg").is_symlink()
