"""A camera that publishes HLS: hls_camera.py FOLDER writes live.m3u8 and its segments, 25 pictures a second.

Prints `ready` when the playlist names three segments.
"""

import sys
import time
from pathlib import Path

import av
import numpy as np


def main() -> None:
    playlist = Path(sys.argv[1]) / "live.m3u8"
    options = {"hls_time": "0.8", "hls_list_size": "5", "hls_flags": "program_date_time+delete_segments"}
    said = False
    with av.open(str(playlist), "w", format="hls", options=options) as output:
        video = output.add_stream("libx264", rate=25, options={"g": "20", "bf": "0", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        began = time.monotonic()
        for k in range(25 * 120):
            picture = np.full((96, 160, 3), 8 * (k % 30), np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            if not said and playlist.exists() and playlist.read_text().count("#EXTINF") >= 3:
                print("ready", flush=True)
                said = True
            # The first three segments at once, then in time.
            time.sleep(max(0.0, began + (k - 75) / 25 - time.monotonic()))


main()
