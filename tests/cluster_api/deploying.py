"""The step deploy as a process of its own, for tests that end it: `python deploying.py WORDS.json PORT`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from cluster_api.surroundings import PACE, door

from cluster.stage import stage_of
from noria.steps.deploy import deploy
from noria.steps.running import running

with running("deploy") as run:
    stage = stage_of(run.workspace, run.progress)
    assert stage is not None
    stage = replace(stage, pace=PACE, look=0.02, doors=lambda *_: door(int(sys.argv[2])))
    words = json.loads(Path(sys.argv[1]).read_text())
    deploy(run.workspace, **words, progress=run.progress, stage=stage)
