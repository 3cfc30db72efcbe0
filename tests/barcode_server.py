#!/usr/bin/python3
"""An RTSP server whose pictures say when they were made: barcode_server.py PORT WIDTH HEIGHT serves /clock.

30 pictures a second, H.264. Along the upper edge are 32 bars of equal width, the highest bit first:
milliseconds since 1970, modulo 2³², when the picture was drawn, before it is encoded. Needs what
tests/rtsp_server.py needs. Prints `ready` when it listens.
"""

import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = """( appsrc name=clock is-live=true do-timestamp=true format=time
    caps=video/x-raw,format=I420,width={width},height={height},framerate=30/1
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 threads=1 bitrate=4000
    ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )"""
BITS, BLACK, WHITE, GREY = 32, b"\x10", b"\xeb", b"\x60"


def picture(width: int, height: int) -> bytes:
    """I420, drawn now."""
    now = time.time_ns() // 1_000_000 % 2**BITS
    bars = b"".join((WHITE if now >> bit & 1 else BLACK) * (width // BITS) for bit in reversed(range(BITS)))
    tall = height // 6
    chroma = b"\x80" * (width * height // 2)
    return bars.ljust(width, BLACK) * tall + GREY * (width * (height - tall)) + chroma


def main() -> None:
    port, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    factory = GstRtspServer.RTSPMediaFactory(latency=0, shared=True)
    factory.set_launch(LAUNCH.format(width=width, height=height))

    def configure(_: object, media: GstRtspServer.RTSPMedia) -> None:
        clock = media.get_element().get_by_name("clock")

        def push() -> bool:
            return (
                clock.emit("push-buffer", Gst.Buffer.new_wrapped(picture(width, height))) == Gst.FlowReturn.OK
            )

        GLib.timeout_add(33, push)

    factory.connect("media-configure", configure)
    server.get_mount_points().add_factory("/clock", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
