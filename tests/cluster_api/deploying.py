"""The step deploy as a process of its own, for tests that end it: `python deploying.py WORDS.json`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from cluster_api.surroundings import PACE

from cluster.stage import stage_of
from noria.ml.progress import silent
from noria.steps.deploy import deploy
from noria.steps.workspace import Workspace

workspace = Workspace.from_environment()
stage = stage_of(workspace, silent)
assert stage is not None
words = json.loads(Path(sys.argv[1]).read_text())
deploy(workspace, **words, progress=silent, stage=replace(stage, pace=PACE, look=0.02))
