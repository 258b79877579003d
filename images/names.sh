# The images' names, for the scripts beside this one; components/step.py, pipelines/overlay.py and the chart name the same.
#   STEPS_TORCH  the build of torch in the image of the steps: cpu, or cu130 and the like for an image of its own, …-cuda
ROLES=(steps serving monitoring)
VERSION=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' src/noria/__init__.py)
STEPS_TORCH=${STEPS_TORCH:-cpu}
case $STEPS_TORCH in
  cpu) CUDA= ;;
  cu[0-9]*) CUDA=-cuda ;;
  *) echo "STEPS_TORCH is $STEPS_TORCH: expected cpu, or cu and a version of CUDA, such as cu130" >&2; return 2 ;;
esac

image_of() {
  case $1 in
    steps) echo "noria/python-steps:$VERSION$CUDA" ;;
    serving | monitoring) echo "noria/$1:$VERSION" ;;
    *) echo "no role $1: there are ${ROLES[*]}" >&2; return 2 ;;
  esac
}
