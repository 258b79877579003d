"""Pretended GPU: a device whose tensors lie in the processor's memory, for machines without a GPU.

It refuses an operation over tensors of both sides, as a GPU does (a single number may come from either), and what has
no deterministic kernel on CUDA. So a training on it shows that each tensor is where it has to be, and what it computes
is what the processor would. Of CUDA's kernels it says nothing.
"""

import contextlib
import sys

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from noria.ml.device import CPU

GPU = torch.device("meta")  # the one other device that a torch without CUDA can follow gradients on
NAME = "Pretended 1"
TRANSFERS = {"aten::copy_", "aten::_to_copy"}
# of those that torch.use_deterministic_algorithms names
NOT_REPEATABLE = {
    "aten::adaptive_max_pool2d_backward", "aten::_adaptive_avg_pool2d_backward", "aten::nll_loss2d_forward",
    "aten::upsample_bilinear2d_backward", "aten::reflection_pad2d_backward",
}  # fmt: skip


class OnGpu(torch.Tensor):
    """A tensor that says of itself that it is on the GPU, and computes with another one that is not."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=GPU,
        )  # fmt: skip

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        name, kwargs = func._schema.name, {**(kwargs or {})}
        if name in NOT_REPEATABLE:
            raise RuntimeError(f"{name} does not have a deterministic implementation, but you set …")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if name not in TRANSFERS and any(tensor.ndim and not isinstance(tensor, cls) for tensor in tensors):
            raise RuntimeError(f"{name}: expected all tensors to be on the same device")
        kwargs.pop("device", None)
        result = func(*tree_map(_unwrap, args), **tree_map(_unwrap, kwargs))
        if not func._schema.returns:
            return None
        return args[0] if name.endswith("_") else tree_map(_wrap, result)


class Transfers(TorchFunctionMode):
    """What brings tensors to the GPU and back, and makes them there."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.Tensor.cpu:
            return _transfer(args[0], CPU)
        if func is torch.Tensor.to:
            devices = [given for given in (*args[1:], kwargs.get("device")) if isinstance(given, torch.device)]
            return _transfer(args[0], devices[0], kwargs.get("memory_format")) if devices else func(*args, **kwargs)
        if kwargs.get("device") == GPU:
            return _wrap(func(*args, **{**kwargs, "device": CPU}))
        return func(*args, **kwargs)


def _transfer(tensor, device, memory_format=None):
    inner = _unwrap(tensor).detach().clone(memory_format=memory_format or torch.preserve_format)
    return _wrap(inner) if device == GPU else inner


def _wrap(value):
    return OnGpu(value) if isinstance(value, torch.Tensor) and not isinstance(value, OnGpu) else value


def _unwrap(value):
    return value.inner if isinstance(value, OnGpu) else value


@contextlib.contextmanager
def pretend(monkeypatch, name=NAME):
    """A machine with such a GPU."""
    monkeypatch.setattr("noria.ml.loop.find_device", lambda wanted: GPU if wanted == "cuda" else CPU)
    for question, answer in {
        "get_device_name": name, "get_device_capability": (1, 0), "is_bf16_supported": False, "get_rng_state": None,
        "set_rng_state": None,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, question, lambda *_, answer=answer, **__: answer)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # knows devices by name
    monkeypatch.setattr(sys.modules["torch.optim.adam"], "_device_dtype_check_for_fused", lambda *_, **__: None)
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # in which a tensor like ours has no views
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with Transfers():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
