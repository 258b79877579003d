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

# What Docker tells goes into a file a role, and is shown where it fails.
logs=build/logs
mkdir -p "$logs"
building() {
  docker build "${flags[@]}" "${told[@]}" "$@" . >>"$log" 2>&1 && return
  tail -n 40 "$log" >&2
  echo "make images: $name was not built: all that Docker said is in $log" >&2
  exit 1
}

for role in "${roles[@]}"; do
  name=$(image_of "$role")
  told=(--build-arg "VERSION=$VERSION" --build-arg "REVISION=$revision") list=$role
  if [ "$role$CUDA" = steps-cuda ]; then told+=(--build-arg "TORCH=$STEPS_TORCH") list+=$CUDA; fi
  log=$logs/$list.log
  echo "Building $name: minutes the first time, seconds afterwards; follow it with \`tail -f $log\`"
  : >"$log"
  building --target "$role" --tag "$name"
  if [ -n "$sboms" ]; then
    mkdir -p "$sboms"
    holder=noria/contents-of-$list:$$
    building --build-arg "ROLE=$role" --build-arg "NAME=${name%:*}" --target sbom --tag "$holder"
    container=$(docker create "$holder" none)
    docker cp --quiet "$container:/sbom.cdx.json" "$sboms/$list.cdx.json"
    docker rm "$container" >/dev/null; docker rmi --no-prune "$holder" >/dev/null
  fi
  size=$(docker image inspect --format '{{.Size}}' "$name")
  echo "  $((size / 1000000)) MB${sboms:+, its contents in $sboms/$list.cdx.json}"
done
