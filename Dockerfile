# One image for a whole node: `docker build -t prepnode .`, then docs/operating.md or compose.yaml.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/prepnode/.venv
WORKDIR /build
# Dependencies first: this layer stays while only the program changes.
COPY requirements.lock ./
RUN /opt/prepnode/.venv/bin/pip install --only-binary :all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY conf ./conf
COPY handlers ./handlers
COPY node ./node
RUN /opt/prepnode/.venv/bin/pip install --no-deps --no-build-isolation . \
    && /opt/prepnode/.venv/bin/pip uninstall --yes hatchling tomlkit trove-classifiers

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="prepnode" \
      org.opencontainers.image.description="The DICOM node that prepares imaging data the moment it arrives." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 prepnode \
    && useradd --system --uid 10001 --gid prepnode --home-dir /var/lib/prepnode --shell /usr/sbin/nologin prepnode \
    && install --directory --owner=prepnode --group=prepnode --mode=0750 /var/lib/prepnode
COPY --from=build /opt/prepnode /opt/prepnode
ENV PATH=/opt/prepnode/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The node writes to /var/lib/prepnode and /tmp alone: the rest may be read-only.
VOLUME /var/lib/prepnode
USER 10001:10001
EXPOSE 11112 8112
# SIGTERM, then up to 30 s to finish the objects in flight: give `docker stop` a --time of 60.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PREPNODE_WEB__PORT', 8112)}/healthz\", timeout=8)"]
ENTRYPOINT ["prepnode"]
CMD ["serve"]
