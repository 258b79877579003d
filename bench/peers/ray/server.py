"""Ray Serve: a deployment as its documents show one, with one replica, in a Ray of its own on one core."""

import os
import time

import numpy as np
import ray
from onnx_session import INPUT, OUTPUT, input_type, load_session, run
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=100, ray_actor_options={"num_cpus": 0})
class Predictor:
    """{"image": nested lists} to {"probabilities": nested lists}."""

    def __init__(self) -> None:
        self.session = load_session()
        self.dtype = input_type(self.session)

    async def __call__(self, request: Request) -> dict:
        image = np.asarray((await request.json())[INPUT], self.dtype)
        return {OUTPUT: run(self.session, image).tolist()}


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, configure_logging=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["BENCH_PORT"])})
    serve.run(Predictor.bind(), route_prefix="/predict")
    while True:
        time.sleep(60)
