#!/usr/bin/python3
"""A small RTSP server for tests: rtsp_server.py PORT WIDTH HEIGHT [PEM] serves /ball, live H.264 at 30 fps.

With PEM, a file of certificate and key, it speaks TLS.

Needs the Debian packages that tests/install_system_packages.sh names, hence the system's Python.
Prints `ready` when it listens.
"""

import sys

import gi

gi.require_version("Gio", "2.0")
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = """( videotestsrc is-live=true pattern=ball
    ! video/x-raw,format=I420,width={width},height={height},framerate=30/1
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 threads=1
    ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )"""


def main() -> None:
    port, width, height = sys.argv[1:4]
    pem = sys.argv[4] if len(sys.argv) > 4 else None
    Gst.init(None)
    if Gst.ElementFactory.find("x264enc") is None:
        sys.exit("no x264enc")
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    if pem:
        auth = GstRtspServer.RTSPAuth()
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(pem))
        anyone = GstRtspServer.RTSPToken()
        anyone.set_string("media.factory.role", "anyone")
        auth.set_default_token(anyone)
        server.set_auth(auth)
    ball = GstRtspServer.RTSPMediaFactory(latency=0, shared=True)
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("anyone", right, True)
    ball.set_permissions(permissions)
    ball.set_launch(LAUNCH.format(width=width, height=height))
    server.get_mount_points().add_factory("/ball", ball)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
