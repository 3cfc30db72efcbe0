#!/usr/bin/env bash
# Debian packages that some tests use: ffprobe, a real RTSP server, a virtual display, a browser. Needs root.
set -euo pipefail
packages=(
    ffmpeg
    python3-gi python3-gst-1.0 gir1.2-gst-rtsp-server-1.0
    gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
    mosquitto
    libgl1 libglib2.0-0 xvfb xauth openbox xdotool wmctrl
    chromium
)
missing=()
for package in "${packages[@]}"; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
