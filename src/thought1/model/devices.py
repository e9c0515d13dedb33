"""The device and the floating-point type of a model, from what the caller has named or left out."""

import torch

from thought1.model.place import reason
from thought1.types import Thought1Error


def find_device(device: str | torch.device | None) -> torch.device:
    """The device of that name; None is a GPU where there is one, else the CPU.

    Raises:
        Thought1Error: there is no such device.
    """
    try:
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise Thought1Error(f"unknown device {device!r}: {reason(error)}") from None
    if target.type == "cuda" and not torch.cuda.is_available():
        raise Thought1Error(f"no GPU is available for device {device!r}: use cpu")
    return target


def find_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The type of that name; None is float32 on a CPU and bfloat16 elsewhere.

    Raises:
        Thought1Error: there is no such floating-point type.
    """
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise Thought1Error(f"unknown dtype {dtype!r}: use float32, bfloat16 or float16")
    return found
