"""The feature repository: how Feast finds, joins and writes what models are trained on."""

from feature_repo.quick_import import import_feast

import_feast()  # before any module of this room does
