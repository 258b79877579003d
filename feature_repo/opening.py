"""Opening: a feature store as feature_store.yaml describes it, over the folder and the registry that are handed in."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any

import yaml
from feast import FeatureStore
from feast.repo_config import RepoConfig

from noria.settings import Settings

REPOSITORY = Path(__file__).parent


def tables_folder(service: str) -> Path:
    """Where the newest tables of a service lie on this machine."""
    return Settings.from_environment().home / "features" / service


def open_store(home: Path, tables: Path) -> FeatureStore:
    """Open the store whose registry and online values lie below `home`; relative sources lie below `tables`."""
    return _open(places(Settings.from_environment({"NORIA_HOME": str(home)})), tables)


def open_configured(settings: Settings, tables: Path) -> FeatureStore:
    """Open the store whose registry and online values are where the settings say."""
    return _open(places(settings), tables)


def places(settings: Settings) -> dict[str, str]:
    """What feature_store.yaml leaves open, by the names that it has there."""
    return {
        "NORIA_HOME": str(settings.home),
        "NORIA_ONLINE": settings.online,
        "NORIA_ONLINE_PASSWORD_FILE": str(settings.online_password_file or ""),
        "NORIA_REGISTRY": settings.registry,
        # Feast keeps a file and an object by one kind of registry, and a database by another.
        "FEAST_REGISTRY_TYPE": "sql" if _is_database(settings.registry) else "file",
    }


def _is_database(registry: str) -> bool:
    return "://" in registry and not registry.startswith(("s3://", "gs://"))


def _open(said: dict[str, str], tables: Path) -> FeatureStore:
    text = Template((REPOSITORY / "feature_store.yaml").read_text()).substitute(said)
    config: dict[str, Any] = yaml.safe_load(text)
    return FeatureStore(config=RepoConfig(**config, repo_path=tables))
