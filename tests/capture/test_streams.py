"""Every kind of stream from a real server: HLS, UDP, TLS, and what changes or breaks within one."""

from __future__ import annotations

import itertools
import socket
import ssl
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.capture.live_source import LiveSource
from streamseg.capture.open import open_source
from streamseg.capture.source import SourceOptions
from streamseg.errors import SourceError
from tests.capture.served import Handler, answering

PATIENT = SourceOptions(open_timeout_s=60, read_timeout_s=60, stall_s=60, max_backoff_s=0.3)
TS_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"


def sent(*chunks: bytes) -> Handler:
    """Sends these, and keeps the connection open."""

    def handle(line: socket.socket) -> None:
        line.sendall(b"".join(chunks))
        while line.recv(1024):
            pass

    return handle


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    asked = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path, "-out", path]
    try:
        subprocess.run([*map(str, command), *asked], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return path


def taken(url: str, count: int, options: SourceOptions = PATIENT) -> list[float]:
    """Media times of so many frames."""
    with LiveSource(url, "cam", options) as source:
        return [frame.pts_seconds for frame in itertools.islice(source, count)]


# -- kinds of streams ------------------------------------------------------------------------------


@pytest.mark.slow
def test_hls_is_followed_across_segments(tmp_path: Path, file_server: str) -> None:
    script = Path(__file__).with_name("hls_camera.py")
    camera = subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert camera.stdout is not None
        assert camera.stdout.readline() == "ready\n"
        with LiveSource(f"{file_server}/live.m3u8", "cam", PATIENT) as source:
            frames = list(itertools.islice(source, 60))
    finally:
        camera.kill()
        camera.communicate()
    # Three segments of 0.8 s, each frame once.
    media = np.array([frame.pts_seconds for frame in frames])
    assert np.diff(media) == pytest.approx(np.full(59, 1 / 25), abs=2e-3)
    # The clock of the playlist, unless it changed just while the session began.
    if frames[0].utc_from == "program-date-time":
        assert np.diff([frame.utc_ns for frame in frames]) == pytest.approx(np.full(59, 4e7), abs=2e6)
        assert abs(time.time_ns() - frames[-1].utc_ns) / 1e9 < 60
    else:
        assert frames[0].utc_from == "arrival"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_playlist_that_stopped_is_not_shown_again_and_again(clip, tmp_path: Path, file_server: str) -> None:
    clip("a.ts", frames=10, options={"bf": "0"})
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXTINF:0.3,\n{}\n"
    playlist = tmp_path / "live.m3u8"
    playlist.write_text(head.format(1, "a.ts"))
    options = SourceOptions(open_timeout_s=60, read_timeout_s=1, max_backoff_s=0.1)
    said = []

    def watch(source: LiveSource) -> None:
        while "its playlist has not grown" not in source.state.detail:
            time.sleep(0.01)
        said.append(source.state)
        time.sleep(0.5)
        (tmp_path / "b.ts").write_bytes((tmp_path / "a.ts").read_bytes())
        playlist.write_text(head.format(2, "b.ts"))

    with LiveSource(f"{file_server}/live.m3u8", "cam", options) as source:
        watcher = threading.Thread(target=watch, args=(source,))
        watcher.start()
        # The demuxer keeps a segment's last frame until the next one comes.
        frames = list(itertools.islice(source, 14))
        watcher.join()
        assert source.state.reconnects == 1
    assert (said[0].state, said[0].reason) == ("reconnecting", "timeout")
    assert [frame.index for frame in frames] == list(range(14))


@pytest.mark.slow
@pytest.mark.parametrize("loss", [0.05, 0.3])
def test_a_transport_stream_over_udp_with_packets_lost(clip, free_port: int, loss: float) -> None:
    """Whatever is lost, frames come, in order, in one session."""
    stream = clip("a.ts", frames=60, options={"g": "10", "bf": "0"}).read_bytes()
    packets = [stream[at : at + 1316] for at in range(0, len(stream), 1316)]
    chance = np.random.default_rng(7)
    done = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not done.is_set():
                for packet in packets:
                    if chance.random() >= loss:
                        out.sendto(packet, ("127.0.0.1", free_port))
                    time.sleep(0.002)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with LiveSource(f"udp://127.0.0.1:{free_port}", "cam", PATIENT) as source:
            media = [frame.pts_seconds for frame in itertools.islice(source, 40)]
            assert source.state.reconnects == 0
    finally:
        done.set()
        sender.join()
    assert (np.diff(media) > 0).all()


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_told(pem: Path, clip) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    stream = clip("a.ts", frames=10).read_bytes()
    with answering(sent(TS_HEAD, stream), context) as url:
        with pytest.raises(
            SourceError, match="certificate is not trusted: self-signed certificate"
        ) as caught:
            LiveSource(url, "cam", PATIENT)
        assert caught.value.reason == "certificate"
        told = SourceOptions(open_timeout_s=60, read_timeout_s=60, self_signed=True)
        assert len(taken(url, 5, told)) == 5


@pytest.mark.slow
@pytest.mark.rtsp
def test_rtsp_under_tls_and_over_udp(rtsp_server, pem: Path) -> None:
    rtsp_server.start(pem=pem)
    secure = rtsp_server.url.replace("rtsp:", "rtsps:")
    with pytest.raises(SourceError, match="certificate is not trusted"):
        LiveSource(secure, "cam", PATIENT)
    assert len(taken(secure, 5, SourceOptions(self_signed=True))) == 5
    rtsp_server.kill()
    rtsp_server.start()
    assert len(taken(rtsp_server.url, 5, SourceOptions(transport="udp"))) == 5


# -- what changes within a stream ------------------------------------------------------------------


def of_size(height: int, width: int, count: int) -> list[np.ndarray]:
    return [np.full((height, width, 3), 8 * (k % 30), np.uint8) for k in range(count)]


def test_another_size_within_a_stream(clip) -> None:
    small = clip("small.ts", pictures=of_size(96, 160, 20), options={"bf": "0"}).read_bytes()
    large = clip("large.ts", pictures=of_size(240, 320, 20), options={"bf": "0"}).read_bytes()
    with answering(sent(TS_HEAD, small, large)) as url, LiveSource(url, "cam", PATIENT) as cam:
        sizes = [frame.size_hw for frame in itertools.islice(cam, 36)]
        assert cam.state.reconnects == 0
    assert sizes[:20] == [(96, 160)] * 20
    assert sizes[20:] == [(240, 320)] * 16


@pytest.mark.slow
def test_another_codec_within_a_stream_costs_a_new_session(clip) -> None:
    first = clip("first.ts", pictures=of_size(96, 160, 20), options={"bf": "0"}).read_bytes()
    other = clip("other.ts", pictures=of_size(96, 160, 20), codec="mpeg2video").read_bytes()
    streams = itertools.chain([first + 3 * other], itertools.repeat(3 * other))

    def handle(line: socket.socket) -> None:
        sent(TS_HEAD, next(streams))(line)

    options = SourceOptions(read_timeout_s=1, stall_s=0.3, max_backoff_s=0.1)
    with answering(handle) as url, LiveSource(url, "cam", options) as cam:
        frames = iter(cam)
        kinds = []
        while cam.state.reconnects == 0:
            next(frames)
            kinds.append(cam.state.state)
        assert len(list(itertools.islice(frames, 10))) == 10
    assert set(kinds) == {"live"}


@pytest.mark.slow
def test_a_picture_that_freezes_while_the_sound_goes_on(tmp_path: Path) -> None:
    video, sound = tmp_path / "video.ts", tmp_path / "sound.ts"
    write_av(video, pictures=20, seconds_of_sound=0.8)
    write_av(sound, pictures=0, seconds_of_sound=5.0)
    payload = sound.read_bytes()

    def handle(line: socket.socket) -> None:
        line.sendall(TS_HEAD + video.read_bytes())
        for at in itertools.cycle(range(0, len(payload), 1880)):
            line.sendall(payload[at : at + 1880])
            time.sleep(0.02)

    options = SourceOptions(read_timeout_s=0.8, max_backoff_s=0.1)
    with answering(handle) as url, LiveSource(url, "cam", options) as cam:
        frames = iter(cam)
        while cam.state.reconnects == 0:
            next(frames)


def write_av(path: Path, pictures: int, seconds_of_sound: float) -> None:
    """A transport stream with a video and a sound track."""
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        track = output.add_stream("mp2", rate=48000)
        for picture in of_size(96, 160, pictures):
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        for k in range(int(seconds_of_sound * 48000 / 1152)):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), "s16", "stereo")
            silence.sample_rate, silence.pts, silence.time_base = 48000, 1152 * k, Fraction(1, 48000)
            output.mux(track.encode(silence))
        for stream in (video, track):
            output.mux(stream.encode(None))


def test_a_session_begins_at_a_key_frame(clip, number_of) -> None:
    """What comes before it is neither shown nor counted as damage."""
    path = clip("long.ts", frames=40, options={"g": "15", "bf": "0", "sc_threshold": "0"})
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    stream = path.read_bytes()
    tables, cut = stream[: starts[0]], starts[5]
    served = answering(sent(TS_HEAD, tables, stream[cut:]))
    with served as url, LiveSource(url, "cam", PATIENT) as cam:
        first = next(iter(cam))
        assert cam.counters()["damaged"] == 0
    assert number_of(first.image) == 15


# -- what may be opened ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "concat://a|b",
        "exec://ls",
        "data://text/plain,x",
        "pipe://0",
        "subfile://x",
        "unix:///run/x",
        "crypto://x",
        "ftp://h/x",
    ],
)
def test_schemes_that_are_no_streams_are_refused_at_once(spec: str) -> None:
    with pytest.raises(SourceError, match="is no scheme of a stream; known are rtsp, rtsps, http"):
        open_source(spec, "cam", SourceOptions(wait_for_source=True))


@pytest.mark.parametrize("entry", ["file://{secret}", "concat:{secret}"])
def test_a_playlist_cannot_name_a_file_of_this_machine(clip, entry: str) -> None:
    secret = clip("secret.ts", frames=10)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{entry.format(secret=secret)}\n"
    head = "HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n"

    def handle(line: socket.socket) -> None:
        line.sendall((head + playlist).encode())

    options = SourceOptions(open_timeout_s=0.5, read_timeout_s=0.5)
    with answering(handle) as url, pytest.raises(SourceError):
        LiveSource(url + ".m3u8", "cam", options)
