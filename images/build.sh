#!/usr/bin/env bash
# Build the image of every role, write down what each holds, and print the sizes.
# Usage: images/build.sh [ROLE…]   (steps serving monitoring)
#   STEPS_TORCH  cpu, or cu130 and the like for a torch that computes on NVIDIA's GPUs: the image noria/python-steps:…-cuda
#   BUILD_FLAGS  for every `docker build`, such as "--network host" or "--build-arg BASE_DIGEST=sha256:…"
#   SBOMS        where the lists of contents go (default: build/sbom); "" for none
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=images/names.sh
. images/names.sh
read -ra flags <<<"${BUILD_FLAGS:-}"
roles=("$@"); [ $# -gt 0 ] || roles=("${ROLES[@]}")
sboms=${SBOMS-build/sbom}

docker version >/dev/null 2>&1 || { echo "make images: no Docker engine answers; install Docker, or start it" >&2; exit 1; }
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision+=-dirty

for role in "${roles[@]}"; do
  name=$(image_of "$role")
  told=(--build-arg "VERSION=$VERSION" --build-arg "REVISION=$revision") list=$role
  if [ "$role$CUDA" = steps-cuda ]; then told+=(--build-arg "TORCH=$STEPS_TORCH") list+=$CUDA; fi
  echo "Building $name"
  docker build --quiet "${flags[@]}" "${told[@]}" --target "$role" --tag "$name" . >/dev/null
  if [ -n "$sboms" ]; then
    mkdir -p "$sboms"
    holder=$(docker build --quiet "${flags[@]}" "${told[@]}" --build-arg "ROLE=$role" --build-arg "NAME=${name%:*}" --target sbom .)
    container=$(docker create "$holder" none)
    docker cp --quiet "$container:/sbom.cdx.json" "$sboms/$list.cdx.json"
    docker rm "$container" >/dev/null; docker rmi --no-prune "$holder" >/dev/null
  fi
  size=$(docker image inspect --format '{{.Size}}' "$name")
  echo "  $((size / 1000000)) MB${sboms:+, its contents in $sboms/$list.cdx.json}"
done
