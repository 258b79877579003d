# The images' names, for the scripts beside this one; components/step.py and the chart name the same.
ROLES=(steps serving monitoring)
VERSION=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' src/noria/__init__.py)

image_of() {
  case $1 in
    steps) echo "noria/python-steps:$VERSION" ;;
    serving | monitoring) echo "noria/$1:$VERSION" ;;
    *) echo "no role $1: there are ${ROLES[*]}" >&2; return 2 ;;
  esac
}
