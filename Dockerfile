# The image of the DIMSE Proxy: Debian's Python, and a virtual environment with what deploy/requirements/ locks.
# Its steps are also run without an engine, in a root made by debootstrap: make package-test.
ARG DEBIAN=trixie-slim

FROM debian:${DEBIAN} AS build
# Versions of Debian's packages are Debian's to choose: they are the ones with its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY deploy/requirements/wheel.txt deploy/requirements/image.txt ./
RUN python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r wheel.txt \
    && python3 -m venv --without-pip /opt/dimse-proxy \
    && tools/bin/pip --python /opt/dimse-proxy/bin/python install --no-cache-dir --no-deps --require-hashes \
        --only-binary :all: -r image.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN tools/bin/python -m hatchling build -t wheel -d dist \
    && tools/bin/pip --python /opt/dimse-proxy/bin/python install --no-cache-dir --no-deps dist/*.whl

FROM debian:${DEBIAN}
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="DIMSE Proxy" \
      org.opencontainers.image.description="Carries DICOM associations between two networks over NATS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/dimse-proxy /opt/dimse-proxy
COPY dimse-config /etc/dimse/config
ENV PATH=/opt/dimse-proxy/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    DIMSE_CONFIG_PATH=/etc/dimse/config
WORKDIR /etc/dimse
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 11112 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=15s --retries=3 CMD ["dimse-proxy", "health"]
ENTRYPOINT ["dimse-proxy"]
CMD ["run"]
