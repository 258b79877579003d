"""BentoML: a service as its documents show one; `bentoml serve server:Predictor` starts it with one worker."""

import bentoml
import numpy as np
from onnx_session import OUTPUT, input_type, load_session, run


@bentoml.service(workers=1, traffic={"timeout": 60})
class Predictor:
    """{"image": nested lists} to {"probabilities": nested lists}."""

    def __init__(self) -> None:
        self.session = load_session()
        self.dtype = input_type(self.session)

    @bentoml.api
    def predict(self, image: np.ndarray) -> dict:
        return {OUTPUT: run(self.session, image.astype(self.dtype)).tolist()}
