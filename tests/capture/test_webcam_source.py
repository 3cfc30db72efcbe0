"""What can be said of a webcam where none is attached; frames and unplugging need a camera."""

import sys
import threading
from pathlib import Path

import pytest

from streamseg.capture.source import SourceOptions
from streamseg.capture.webcam_source import WebcamSource
from streamseg.errors import SourceError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="device paths of Linux")


@pytest.mark.skipif(Path("/dev/video77").exists(), reason="there is such a webcam")
def test_one_that_is_off_is_waited_for_when_asked():
    options = SourceOptions(wait_for_source=True, size_hw=(720, 1280), fps=30, max_backoff_s=0.01)
    with WebcamSource("77", "cam", options) as camera:
        assert (camera.live, camera.size_hw, camera.asked) == (True, None, ((720, 1280), 30))
        interrupter = threading.Timer(0.2, camera.interrupt)
        interrupter.start()
        assert list(camera) == []
        interrupter.join()
        assert camera.state.detail.startswith("webcam 77: /dev/video77 does not exist; ")
        assert (camera.state.state, camera.state.reason) == ("connecting", "not_found")


def test_what_is_no_camera_is_named_with_its_likely_causes(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(
        SourceError, match=r"webcam .*/file: cannot be opened; another program may be using it"
    ):
        WebcamSource(str(tmp_path / "file"), "cam")
