# syntax=docker/dockerfile:1
# The studio on a CPU, for strangers (--public), as a user without rights. docs/deploy.md says how to use it.

FROM python:3.11-slim AS build
# Where the CPU build of torch is: PyTorch's own wheel index, as its "Get started" page shows, or a folder of wheels.
ARG TORCH_WHEELS
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/studio \
    && test -n "$TORCH_WHEELS" \
    && /opt/studio/bin/pip install --require-hashes --extra-index-url "$TORCH_WHEELS" -r requirements.lock
COPY . .
RUN /opt/studio/bin/pip install --no-deps . && /opt/studio/bin/python -m compileall -q /opt/studio

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/studio studio
COPY --from=build /opt/studio /opt/studio
ENV PATH=/opt/studio/bin:$PATH \
    HOME=/home/studio \
    GRADIO_TEMP_DIR=/tmp/studio \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/studio
EXPOSE 7860
# The page itself, not a port that is open: it answers once the first picture is made.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=8).close()"]
ENTRYPOINT ["koopman-studio", "--host", "0.0.0.0", "--public"]
CMD ["--port", "7860"]
