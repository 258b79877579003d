"""KServe's Python server: a Model as its documents show one, with an ONNX Runtime session or a torch program."""

import os

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InvalidInput
from kserve.utils.utils import generate_uuid
from onnx_session import INPUT, OUTPUT, load_session, model_file, run


class Predictor(Model):
    """Probabilities by ONNX Runtime, or by torch where the model is a torch program."""

    def load(self) -> bool:
        if model_file().endswith(".pt"):
            import torch

            torch.set_num_threads(1)
            program = torch.jit.load(model_file())

            def by_torch(image: np.ndarray) -> np.ndarray:
                with torch.inference_mode():
                    return program(torch.from_numpy(image)).numpy()

            self.compute = by_torch
        else:
            session = load_session()
            self.compute = lambda image: run(session, image)
        self.ready = True
        return self.ready

    def predict(self, payload: InferRequest, _headers: dict[str, str] | None = None) -> InferResponse:
        tensor: InferInput = payload.inputs[0]
        if tensor.name != INPUT:
            raise InvalidInput(f"found input {tensor.name!r}: expected {INPUT!r}")
        probabilities = self.compute(tensor.as_numpy())
        output = InferOutput(OUTPUT, list(probabilities.shape), "FP32")
        output.set_data_from_numpy(probabilities, binary_data=payload.use_binary_outputs)
        return InferResponse(
            payload.id or generate_uuid(),
            self.name,
            [output],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    model = Predictor(os.environ["BENCH_NAME"])
    model.load()
    # Port 0 gives gRPC, which is on by default and not measured, any free port.
    ModelServer(http_port=int(os.environ["BENCH_PORT"]), grpc_port=0).start([model])
