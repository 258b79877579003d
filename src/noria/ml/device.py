"""Device: what a training computes on; one that was asked for and is not there is refused, and never replaced."""

from __future__ import annotations

import torch

from noria.errors import TrainingError

CPU = torch.device("cpu")


def find_device(wanted: str) -> torch.device:
    """The processor for "cpu", the first GPU that torch sees for "cuda"; TrainingError where it sees none."""
    if wanted == "cpu":
        return CPU
    if torch.cuda.is_available():
        return torch.device(wanted, 0)
    found = "sees no GPU" if torch.version.cuda else "is built without CUDA"
    raise TrainingError(
        f"training.device is {wanted}, and torch {torch.__version__} {found}: expected an NVIDIA GPU and a torch that "
        "computes on it. `noria submit --gpus 1` reserves one and takes an image with such a torch; "
        "training.device=cpu trains without"
    )


def name_kernels(device: torch.device) -> str:
    """What chooses torch's kernels, and with them the last bits: the processor, and the GPU where there is one."""
    processor = str(torch.cpu.get_capabilities())
    if device == CPU:
        return processor
    model, generation = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return f"{processor} {model} {generation} CUDA {torch.version.cuda} cuDNN {cudnn}"


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions of its own for bfloat16, and need not emulate it."""
    if device != CPU:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # both keys are missing on processors that are not x86
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
