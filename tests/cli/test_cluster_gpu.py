"""A GPU on a cluster, as a person asks for it: reserved, used, and in an image that can; or nothing is started."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from kubeflow_api import KubeflowApi
from noria_command import Noria

import noria as project


def test_a_reserved_gpu_is_used_and_an_idle_one_is_refused(tmp_path: Path) -> None:
    with KubeflowApi() as api:
        noria = Noria(home=tmp_path / "home", site=tmp_path).with_settings(NORIA_KFP=api.host)
        done = noria("submit", "--gpus", "1", "--json")
        assert done.code == 0, done.err
        (run,), (version,) = api.runs.values(), api.versions.values()
        assert run["runtime_config"]["parameters"]["training"] == {"device": "cuda"}
        (spec, _) = yaml.safe_load_all(version["text"])
        containers = {name: one["container"] for name, one in spec["deploymentSpec"]["executors"].items()}
        assert {one["image"] for one in containers.values()} == {f"noria/python-steps:{project.__version__}-cuda"}
        assert [name for name, one in containers.items() if "accelerator" in one["resources"]] == ["exec-train"]
        for words, said in (
            (("--gpus", "1", "--param", "training.device=cpu"), "training.device is cpu with 1 GPU reserved"),
            (("--param", "training.device=cuda"), "training.device is cuda with no GPU reserved"),
            (
                ("--gpus", "1", "--image", f"x/python-steps:{project.__version__}"),
                "a GPU would idle in image x/python-st",
            ),
            (("--gpus", "2"), "2 GPUs for a training that computes on one"),
        ):
            refused = noria("submit", *words)
            assert (refused.code, said in re.sub(r"\s+", " ", refused.err)) == (2, True), refused.err
        assert len(api.runs) == 1
