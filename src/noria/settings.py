"""Settings: WHERE things are; the only reader of environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from noria.errors import UsageError

SOURCE_PREFIX = "NORIA_SOURCE_"
KNOWN = frozenset(
    f"NORIA_{name}"
    for name in (
        "HOME",
        "OBJECTS",
        "OBJECTS_ENDPOINT",
        "OBJECTS_KEYS",
        "OBJECTS_REGION",
        "SIGNING_KEY",
        "TRUSTED_KEYS",
        "IMAGE",
        "KFP",
        "KFP_CA_FILE",
        "KFP_NAMESPACE",
        "KFP_SERVICE_ACCOUNT",
        "KFP_TOKEN_FILE",
        "ONLINE",
        "ONLINE_PASSWORD_FILE",
        "REGISTRY",
        "RUNNER",
        "SERVING",
        "SERVING_NAMESPACE",
        "SERVING_OBJECT",
        "SERVING_SECONDS",
    )
)
RUNNERS = ("subprocess", "docker")
_HANDED_ON = ("NORIA_", "AWS_", "ATEN_", "DNNL_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_")
_REDIS = ("redis://", "rediss://")
# What Kubernetes puts into each container of a namespace for a Service such as noria-redis is no setting of ours.
_SERVICE_LINK = re.compile(r"NORIA_\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SECONDS = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, kw_only=True)
class KfpSettings:
    """Where Kubeflow Pipelines is.

    NORIA_KFP                  its address, such as http://localhost:8888 (default: there is none)
    NORIA_KFP_NAMESPACE        the namespace that its runs are in (default: kubeflow)
    NORIA_KFP_TOKEN_FILE       the file of the token it is asked with, read at each question (default: none)
    NORIA_KFP_CA_FILE          the certificates that its https is believed by (default: those of certifi)
    NORIA_KFP_SERVICE_ACCOUNT  whom the pods of a run work as (default: KFP's own, pipeline-runner)
    """

    host: str = ""
    namespace: str = "kubeflow"
    token_file: Path | None = None
    ca_file: Path | None = None
    service_account: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], here: Path) -> KfpSettings:
        """Read them; UsageError for an address without a scheme, or one with a password in it."""
        host = environment.get("NORIA_KFP", "").rstrip("/")
        namespace = environment.get("NORIA_KFP_NAMESPACE") or cls.namespace
        token_file, ca_file = (environment.get(f"NORIA_KFP_{name}_FILE") for name in ("TOKEN", "CA"))
        if host and not re.fullmatch(r"https?://[^@/\s]+(/[^@\s]*)?", host):
            raise UsageError(
                f"NORIA_KFP is '{re.sub('//.*@', '//…@', host)}': expected http://host:port or https://…, and no "
                "password in it; a token has its place in the file that NORIA_KFP_TOKEN_FILE names"
            )
        if not _NAMESPACE.fullmatch(namespace):
            raise UsageError(f"NORIA_KFP_NAMESPACE is {namespace!r}: expected 1 to 63 of [a-z0-9-]")
        return cls(
            host=host,
            namespace=namespace,
            token_file=here / token_file if token_file else None,
            ca_file=here / ca_file if ca_file else None,
            service_account=environment.get("NORIA_KFP_SERVICE_ACCOUNT", ""),
        )


@dataclass(frozen=True, kw_only=True)
class AccessSettings:
    """How an object store in S3 is reached: by names of our own, beside programs that have a bucket of theirs.

    NORIA_OBJECTS_ENDPOINT  its address, such as https://s3.example.com (default: AWS_ENDPOINT_URL, else Amazon's)
    NORIA_OBJECTS_REGION    its region (default: AWS_DEFAULT_REGION, and what else boto3 looks at)
    NORIA_OBJECTS_KEYS      a folder with the files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as Kubernetes mounts a
                            Secret (default: the AWS_* variables, a role, and what else boto3 looks at)
    """

    endpoint: str = ""
    region: str = ""
    keys: Path | None = None

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, folder: Path | None = None
    ) -> AccessSettings:
        """Read them, but no key; UsageError for an address without a scheme, or one with a password in it."""
        endpoint = environment.get("NORIA_OBJECTS_ENDPOINT", "").rstrip("/")
        keys = environment.get("NORIA_OBJECTS_KEYS")
        if endpoint and not re.fullmatch(r"https?://[^@/\s]+", endpoint):
            raise UsageError(
                f"NORIA_OBJECTS_ENDPOINT is '{re.sub('//.*@', '//…@', endpoint)}': expected http://host:port or "
                "https://…, and no password in it; keys have their place in the folder that NORIA_OBJECTS_KEYS names"
            )
        return cls(
            endpoint=endpoint,
            region=environment.get("NORIA_OBJECTS_REGION", ""),
            keys=(folder or Path.cwd()) / keys if keys else None,
        )


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Where champions are served.

    NORIA_SERVING            ledger: predictors follow the release ledger; kserve: the step deploy changes an
                             InferenceService, and the ledger says so once that serves (default: ledger)
    NORIA_SERVING_NAMESPACE  the namespace of the InferenceServices (default: noria-serving)
    NORIA_SERVING_OBJECT     a piece of an InferenceService in JSON that is laid over Noria's own, such as
                             {"spec": {"predictor": {"minReplicas": 2}}} (default: nothing)
    NORIA_SERVING_SECONDS    until a bundle has to serve, before what served is put back (default: 600)
    """

    way: str = "ledger"
    namespace: str = "noria-serving"
    overlay: str = ""
    seconds: float = 600.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ServingSettings:
        """Read them; UsageError for a way, a name or a number that is none."""
        way = environment.get("NORIA_SERVING") or cls.way
        namespace = environment.get("NORIA_SERVING_NAMESPACE") or cls.namespace
        seconds = environment.get("NORIA_SERVING_SECONDS") or f"{cls.seconds:.0f}"
        if way not in {"ledger", "kserve"}:
            raise UsageError(f"NORIA_SERVING is {way!r}: expected ledger or kserve")
        if not _NAMESPACE.fullmatch(namespace):
            raise UsageError(f"NORIA_SERVING_NAMESPACE is {namespace!r}: expected 1 to 63 of [a-z0-9-]")
        if not _SECONDS.fullmatch(seconds) or int(seconds) == 0:
            raise UsageError(f"NORIA_SERVING_SECONDS is {seconds!r}: expected whole seconds, from 1")
        overlay = environment.get("NORIA_SERVING_OBJECT", "")
        return cls(way=way, namespace=namespace, overlay=overlay, seconds=float(seconds))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The places that one installation uses.

    NORIA_HOME           the folder for all that Noria keeps (default: .noria in the working folder)
    NORIA_OBJECTS        the object store: a folder, or s3://bucket/prefix (default: <home>/objects)
    NORIA_OBJECTS_*      how one in S3 is reached: see AccessSettings
    NORIA_SIGNING_KEY    the private key that signs bundles and ledger entries (default: <home>/keys/signing.pem)
    NORIA_TRUSTED_KEYS   the folder of public keys that are trusted (default: <home>/keys/trusted)
    NORIA_SOURCE_<TASK>  the folder of a task's source data (default: the task knows)
    NORIA_ONLINE         the online store: a file, or redis://host:port/db (default: <home>/features/online.db)
    NORIA_ONLINE_PASSWORD_FILE  the file that holds its password (default: none)
    NORIA_REGISTRY       Feast's registry: a file, s3://…, or a database as SQLAlchemy names it, such as sqlite:///…
                         (default: <home>/features/registry.db)
    NORIA_IMAGE          the image of the steps on a cluster (default: noria/python-steps:<version>)
    NORIA_RUNNER         what `noria run` runs each step in: subprocess, or docker for a container of that image
                         (default: subprocess)
    NORIA_KFP*           where Kubeflow Pipelines is: see KfpSettings
    NORIA_SERVING*       where champions are served: see ServingSettings
    """

    home: Path
    objects: str
    signing_key: Path
    trusted_keys: Path
    online: str = ""
    online_password_file: Path | None = None
    registry: str = ""
    image: str = ""
    runner: str = RUNNERS[0]
    access: AccessSettings = field(default_factory=AccessSettings)
    kfp: KfpSettings = field(default_factory=KfpSettings)
    serving: ServingSettings = field(default_factory=ServingSettings)
    sources: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, folder: Path | None = None) -> Settings:
        """Read the settings; a name that starts with NORIA_ and that nobody knows is a UsageError."""
        here = folder or Path.cwd()
        home = here / (environment.get("NORIA_HOME") or ".noria")
        objects = environment.get("NORIA_OBJECTS") or str(home / "objects")
        online = environment.get("NORIA_ONLINE", "").removeprefix("sqlite:") or str(home / "features" / "online.db")
        registry = environment.get("NORIA_REGISTRY") or str(home / "features" / "registry.db")
        password_file = environment.get("NORIA_ONLINE_PASSWORD_FILE")
        strange = sorted(
            name
            for name in environment
            if name.startswith("NORIA_")
            and name not in KNOWN
            and SOURCE_PREFIX not in name
            and not _SERVICE_LINK.fullmatch(name)
        )
        if strange:
            raise UsageError(
                f"unknown settings {', '.join(strange)}: there are {', '.join(sorted(KNOWN))}, {SOURCE_PREFIX}*"
            )
        return cls(
            home=home,
            objects=_address(objects, "NORIA_OBJECTS", here, ("s3://",), "a folder or s3://bucket/prefix"),
            signing_key=Path(environment.get("NORIA_SIGNING_KEY") or home / "keys" / "signing.pem"),
            trusted_keys=Path(environment.get("NORIA_TRUSTED_KEYS") or home / "keys" / "trusted"),
            online=_address(online, "NORIA_ONLINE", here, _REDIS, "a file, redis://host:port/db or rediss://…"),
            online_password_file=here / password_file if password_file else None,
            registry=_address(registry, "NORIA_REGISTRY", here, ("",), "a registry"),
            image=environment.get("NORIA_IMAGE", ""),
            runner=_one_of(environment, "NORIA_RUNNER", RUNNERS),
            access=AccessSettings.from_environment(environment, here),
            kfp=KfpSettings.from_environment(environment, here),
            serving=ServingSettings.from_environment(environment),
            sources={
                name.removeprefix(SOURCE_PREFIX).lower().replace("_", "-"): Path(value)
                for name, value in environment.items()
                if name.startswith(SOURCE_PREFIX) and value
            },
        )

    def source_variable(self, task: str) -> str:
        """The variable that names a task's source folder, for error messages."""
        return SOURCE_PREFIX + re.sub(r"[^A-Z0-9]", "_", task.upper())


def lost_kubeconfig(environment: Mapping[str, str] = os.environ) -> str:
    """What KUBECONFIG names where none of it is there; "" where it is not set, or one of its files is there."""
    said = environment.get("KUBECONFIG", "")
    there = any(Path(name).expanduser().exists() for name in said.split(os.pathsep) if name)
    return "" if there else said


def _address(said: str, name: str, here: Path, schemes: tuple[str, ...], expected: str) -> str:
    """An address of one of the schemes as it is, or else a path below `here`; UsageError for another scheme."""
    if "://" not in said:
        return str(here / said)
    if not said.startswith(schemes):
        # An address may hold a password in front of an @, which is not to be shown.
        raise UsageError(f"{name} is '{re.sub('//.*@', '//…@', said)}': expected {expected}")
    return said


def _one_of(environment: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The value of a setting that has a few; the first of them where it is not set."""
    value = environment.get(name) or known[0]
    if value not in known:
        raise UsageError(f"{name} is {value!r}: expected {' or '.join(known)}")
    return value


def handed_on(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a process elsewhere needs to find the same places, and to come to the same bits there.

    They are Noria's own variables, those of S3's client, and those by which numeric libraries choose their kernels.
    """
    return {name: value for name, value in environment.items() if name.startswith(_HANDED_ON)}
