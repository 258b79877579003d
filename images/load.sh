#!/usr/bin/env bash
# Put the images into the cluster on this machine: kind, or minikube. Ours no node fetches, so without this no pod starts; those
# of the development parts that dev brings along Docker pulls first where it lacks them.
# Usage: images/load.sh    CLUSTER: kind's name for it, or minikube's profile (default: noria; the only one, if there is one)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=images/names.sh
. images/names.sh
images=(); for role in "${ROLES[@]}"; do images+=("$(image_of "$role")"); done
for image in "${images[@]}"; do
  docker image inspect "$image" >/dev/null 2>&1 || { echo "make images-load: there is no image $image: \`make images\` builds it" >&2; exit 1; }
done

choose() {  # the cluster that was asked for, or the only one; nothing where there is neither
  local wanted=${CLUSTER:-noria} found=("$@")
  for name in "${found[@]}"; do [ "$name" != "$wanted" ] || { echo "$name"; return; }; done
  [ -n "${CLUSTER:-}" ] || [ ${#found[@]} != 1 ] || echo "${found[0]}"
}

kind_of=; name=
if command -v kind >/dev/null; then
  mapfile -t clusters < <(kind get clusters 2>/dev/null)
  name=$(choose "${clusters[@]}"); kind_of=kind
fi
if [ -z "$name" ] && command -v minikube >/dev/null; then
  mapfile -t clusters < <(minikube profile list --light --output json 2>/dev/null | grep -o '"Name":"[^"]*"' | cut -d'"' -f4 | sort -u)
  name=$(choose "${clusters[@]}"); kind_of=minikube
fi
if [ -z "$name" ]; then
  echo "make images-load: no cluster of kind or minikube${CLUSTER:+ named $CLUSTER} is here: \`make cluster\` makes one with kind; for any" \
    "other, push the images to its registry and set their names in the chart's values" >&2
  exit 1
fi

absent=()
for image in $(sed -n 's/^[- ]*image: //p' manifests/dev/*.yaml | sort -u); do
  case $image in noria/*) continue ;; esac
  if docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" >/dev/null; then
    images+=("$image")
  else
    absent+=("$image")
  fi
done

# One archive an image, of this platform alone: a pulled image's index names platforms that Docker has not pulled, and kind's import
# asks for every one of them (https://github.com/kubernetes-sigs/kind/issues/3795). Docker before 28 knows no --platform here.
platform=$(docker version --format '{{.Server.Os}}/{{.Server.Arch}}')
archive=$(mktemp -d)/image.tar
trap 'rm -rf "${archive%/*}"' EXIT
for image in "${images[@]}"; do
  echo "Loading $image"
  docker image save --platform "$platform" --output "$archive" "$image" 2>/dev/null || docker image save --output "$archive" "$image"
  if [ "$kind_of" = kind ]; then
    kind load image-archive --name "$name" "$archive"
  else
    minikube --profile "$name" image load "$archive"
  fi
done
echo "The $kind_of cluster $name has ${images[*]}"
if [ ${#absent[@]} != 0 ]; then
  echo "make images-load: Docker neither has ${absent[*]} nor can pull it. They are S3, Redis and PostgreSQL of dev, whose pods wait" \
    "unless the cluster pulls them itself: bring them with \`docker load\`, or name a mirror's in devServices.*.image (helm/noria/values.yaml)" \
    "and run \`make manifests\`; then run this again" >&2
  exit 1
fi
