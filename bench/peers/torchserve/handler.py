"""TorchServe's side of the model: a handler as its documents show one, with the ONNX Runtime session."""

import json

import numpy as np
from onnx_session import INPUT, OUTPUT, input_type, load_session, run
from ts.torch_handler.base_handler import BaseHandler


class Predictor(BaseHandler):
    """{"image": nested lists} to {"probabilities": nested lists}."""

    def initialize(self, _context: object) -> None:
        self.session = load_session()
        self.dtype = input_type(self.session)
        self.initialized = True

    def handle(self, data: list[dict], _context: object) -> list[dict]:
        answers = []
        for request in data:
            body = request.get("body") or request.get("data")
            image = body[INPUT] if isinstance(body, dict) else json.loads(body)[INPUT]
            answers.append({OUTPUT: run(self.session, np.asarray(image, self.dtype)).tolist()})
        return answers
