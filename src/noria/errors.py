"""Errors: everything that Noria raises on purpose, as one tree.

    NoriaError                      exit code 1
    ├── UsageError                  exit code 2: a name, a key or a value that nobody knows
    ├── SourceError                 a task's source is missing, torn or not what it should be
    ├── DatasetError                a dataset folder does not hold what its dataset.json says
    │   └── ValidationError         exit code 3: the data break the schema; the report says which rows
    ├── BundleError                 a bundle is torn, altered, unsigned, or does not fit
    ├── TrainingError               training cannot start or ended without a usable model
    ├── EvidenceError               exit code 3: evidence is missing, unusable, or belongs to another digest
    │   └── TakenBackError          it passed the gates, but a person had taken this very bundle back
    ├── StoreError                  the object store cannot be read or written
    │   ├── ObjectExistsError       an object that is written once is already there
    │   ├── ObjectMissingError      an object is not there
    │   └── BucketMissingError      the whole bucket is not there, so nothing is known of an object in it
    ├── LedgerError                 the release ledger is broken, or somebody else was first
    ├── ServingError                the predictor does not start or does not answer
    │   └── ReleaseError            what was to serve did not come up, or answers wrongly; it does not stay
    └── ClusterError                Kubernetes or Kubeflow Pipelines cannot be reached, or refuses
        └── ConflictError           somebody else changes the same object, or holds the right to

Each message says what was found, what was expected, and what to do next; each keeps its cause.
"""


class NoriaError(Exception):
    """The root of the tree; `exit_code` is what the command ends with."""

    exit_code = 1


class UsageError(NoriaError):
    exit_code = 2


class SourceError(NoriaError):
    pass


class DatasetError(NoriaError):
    pass


class ValidationError(DatasetError):
    exit_code = 3  # a refusal as that of any gate, not a fault


class BundleError(NoriaError):
    pass


class TrainingError(NoriaError):
    pass


class EvidenceError(NoriaError):
    exit_code = 3  # nothing goes up on it: it ends as a gate's refusal does


class TakenBackError(EvidenceError):
    pass


class StoreError(NoriaError):
    pass


class ObjectExistsError(StoreError):
    pass


class ObjectMissingError(StoreError):
    pass


class BucketMissingError(StoreError):
    pass


class LedgerError(NoriaError):
    pass


class ServingError(NoriaError):
    pass


class ReleaseError(ServingError):
    pass


class ClusterError(NoriaError):
    pass


class ConflictError(ClusterError):
    pass
