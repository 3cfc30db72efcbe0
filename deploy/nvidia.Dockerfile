# docker build -f deploy/nvidia.Dockerfile -t streamseg:nvidia .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY streamseg streamseg
# The headless OpenCV has no windows, and so needs no X libraries in the image.
RUN python -m venv /opt/streamseg \
    && /opt/streamseg/bin/pip install --no-cache-dir ".[serve,publish,tensorrt]" \
    && /opt/streamseg/bin/pip uninstall --yes opencv-python \
    && /opt/streamseg/bin/pip install --no-cache-dir "opencv-python-headless>=4.10,<6"

FROM python:3.11-slim-bookworm
COPY --from=build /opt/streamseg /opt/streamseg
ENV PATH=/opt/streamseg/bin:$PATH XDG_CACHE_HOME=/data/cache XDG_STATE_HOME=/data/state
# CUDA and TensorRT come from the wheels; the driver and its libraries from the NVIDIA Container Toolkit of the host.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN useradd --uid 10001 --create-home --home-dir /data streamseg
USER 10001
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as http; http.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
ENTRYPOINT ["streamseg"]
CMD ["run", "--config", "/etc/streamseg/streamseg.yaml", "--log-format", "json"]
