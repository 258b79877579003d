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
    text = Template((REPOSITORY / "feature_store.yaml").read_text()).substitute(NORIA_HOME=home)
    said: dict[str, Any] = yaml.safe_load(text)
    return FeatureStore(config=RepoConfig(**said, repo_path=tables))
