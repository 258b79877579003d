"""Session: the same ONNX Runtime session in every peer, with the options that Noria gives its own."""

import os

import numpy as np
import onnxruntime

INPUT, OUTPUT = "image", "probabilities"


def model_file() -> str:
    return os.environ["BENCH_MODEL"]


def load_session() -> onnxruntime.InferenceSession:
    """Load the model that the bench names; one thread, which does not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model_file(), options, providers=["CPUExecutionProvider"])


def input_type(session: onnxruntime.InferenceSession) -> type[np.generic]:
    """The type of the picture's values: servers that take plain JSON need it to make an array."""
    return {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[session.get_inputs()[0].type]


def run(session: onnxruntime.InferenceSession, image: np.ndarray) -> np.ndarray:
    return session.run([OUTPUT], {INPUT: image})[0]
