"""MLServer: a custom runtime as its documents show one; no pool of workers, which one core has no use for."""

import asyncio
import os

from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnx_session import OUTPUT, load_session, run


class Predictor(MLModel):
    """The Open Inference Protocol in JSON; its REST server knows no binary tensors."""

    async def load(self) -> bool:
        self.session = load_session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        image = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output(OUTPUT, run(self.session, image))
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[output])


async def serve() -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=int(os.environ["BENCH_PORT"]),
        grpc_port=int(os.environ["BENCH_SECOND_PORT"]),
        metrics_port=int(os.environ["BENCH_THIRD_PORT"]),
        parallel_workers=0,
        debug=False,
    )
    await MLServer(settings).start([ModelSettings(name=os.environ["BENCH_NAME"], implementation=Predictor)])


if __name__ == "__main__":
    asyncio.run(serve())
