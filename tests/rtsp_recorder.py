#!/usr/bin/python3
"""A small RTSP server that takes what others publish: rtsp_recorder.py PORT FILE.

What is announced at /live is appended to FILE, an MPEG transport stream, as it comes. Prints `ready` when it
listens. Needs what rtsp_server.py needs.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = """( rtph264depay name=depay0 ! h264parse config-interval=-1 ! mpegtsmux
    ! filesink location={file} append=true sync=false async=false buffer-mode=unbuffered )"""


def main() -> None:
    port, file = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    live = GstRtspServer.RTSPMediaFactory(latency=0)
    live.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    live.set_launch(LAUNCH.format(file=file))
    server.get_mount_points().add_factory("/live", live)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
