"""Views: what of each feature view is asked for, in the names of its files and of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.infra.registry.base_registry import BaseRegistry
from feast.utils import _get_requested_feature_views_to_features_dict, _get_requested_on_demand_feature_views

from noria.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Key:
    label: str  # the column of the labels, after with_join_key_map
    column: str  # the column of the files


@dataclass(frozen=True, kw_only=True)
class Feature:
    column: str  # in the files
    name: str  # in the answer


@dataclass(frozen=True, kw_only=True)
class View:
    """One feature view, as far as it is asked for."""

    name: str
    source: DataSource
    keys: tuple[Key, ...]  # none: one history for all labels
    time: str
    created: str | None
    features: tuple[Feature, ...]
    ttl: timedelta | None  # None: a value never grows too old

    def columns(self) -> tuple[str, ...]:
        """The columns that have to be in the files."""
        wanted = [key.column for key in self.keys] + [self.time] + ([self.created] if self.created else [])
        return tuple(dict.fromkeys(wanted + [feature.column for feature in self.features]))


def requested_views(
    views: Sequence[FeatureView],
    references: Sequence[str],
    registry: BaseRegistry,
    project: str,
    *,
    full_names: bool,
) -> tuple[View, ...]:
    """The views in the order in which they are first referred to, each feature once."""
    on_demand = _get_requested_on_demand_feature_views(list(references), project, registry)
    wanted, _ = _get_requested_feature_views_to_features_dict(list(references), list(views), on_demand)
    return tuple(_view(view, list(dict.fromkeys(names)), full_names=full_names) for view, names in wanted.items())


def check_names(views: Sequence[View], taken: Sequence[str]) -> None:
    """UsageError where two columns of the answer would have one name."""
    seen = dict.fromkeys(taken, "entity_df")
    for view in views:
        for feature in view.features:
            if feature.name in seen:
                raise UsageError(
                    f"{feature.name} would stand twice in the answer, from {seen[feature.name]} and from {view.name}: "
                    "expected each name once; ask with full_feature_names=True, or rename the column of entity_df"
                )
            seen[feature.name] = view.name


def _view(view: FeatureView, names: Sequence[str], *, full_names: bool) -> View:
    source = view.batch_source
    if source is None:
        raise UsageError(
            f"feature view {view.name} has no batch source: expected a FileSource to read its history from"
        )
    # Feast speaks of columns as they are called after field_mapping; the files have them as they were before.
    before = {new: old for old, new in (source.field_mapping or {}).items()}
    prefix = f"{view.projection.name_alias or view.name}__" if full_names else ""
    renamed = view.projection.join_key_map
    keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    created = source.created_timestamp_column
    return View(
        name=view.name,
        source=source,
        keys=tuple(Key(label=renamed.get(name, name), column=before.get(name, name)) for name in keys),
        time=before.get(source.timestamp_field, source.timestamp_field),
        created=before.get(created, created) if created else None,
        features=tuple(Feature(column=before.get(name, name), name=prefix + name) for name in names),
        ttl=view.ttl or None,
    )
