"""LitServe: a LitAPI as its documents show one, with one worker for the one core."""

import os

import litserve
import numpy as np
from onnx_session import INPUT, OUTPUT, input_type, load_session, run


class Predictor(litserve.LitAPI):
    """{"image": nested lists} to {"probabilities": nested lists}."""

    def setup(self, _device: str) -> None:
        self.session = load_session()
        self.dtype = input_type(self.session)

    def decode_request(self, request: dict) -> np.ndarray:
        return np.asarray(request[INPUT], self.dtype)

    def predict(self, image: np.ndarray) -> np.ndarray:
        return run(self.session, image)

    def encode_response(self, output: np.ndarray) -> dict:
        return {OUTPUT: output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Predictor(), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(os.environ["BENCH_PORT"]), generate_client_file=False)
