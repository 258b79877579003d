"""TorchServe: archive the model, write its configuration, and become its server with one worker."""

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SETTINGS = """inference_address=http://127.0.0.1:{port}
management_address=http://127.0.0.1:{second}
metrics_address=http://127.0.0.1:{third}
default_workers_per_model=1
max_request_size=134217728
max_response_size=134217728
disable_token_authorization=true
enable_grpc=false
"""


def main() -> None:
    folder, name, commands = Path(tempfile.mkdtemp()), os.environ["BENCH_NAME"], Path(sys.executable).parent
    archiver = [commands / "torch-model-archiver", "--model-name", name, "--version", "1"]
    archiver += ["--handler", HERE / "handler.py", "--export-path", folder]
    if os.spawnv(os.P_WAIT, archiver[0], [str(word) for word in archiver]):
        raise SystemExit("the model cannot be archived; the reason stands above")
    ports = {"port": "BENCH_PORT", "second": "BENCH_SECOND_PORT", "third": "BENCH_THIRD_PORT"}
    (folder / "settings").write_text(SETTINGS.format(**{key: os.environ[name] for key, name in ports.items()}))
    os.chdir(folder)
    os.environ["PATH"] = f"{commands}:{os.environ['PATH']}"  # it starts its workers with the first python there
    words = ["torchserve", "--foreground", "--ncs", "--model-store", str(folder), "--models", f"{name}={name}.mar"]
    os.execv(commands / "torchserve", [*words, "--ts-config", str(folder / "settings")])


if __name__ == "__main__":
    main()
