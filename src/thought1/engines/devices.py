"""What torch can compute on here. It knows no model."""

import torch


def devices() -> list[str]:
    """Names of the devices, the one that is used by default first."""
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return [*gpus, "cpu"]


def computes_bfloat16(device: str = "cpu") -> bool:
    """Whether the device has instructions for bfloat16 and oneDNN may use them
    (ONEDNN_MAX_CPU_ISA); without them its products take many times longer than those of float32 (18
    times on an AMD EPYC with AVX2)."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    found = torch.cpu.get_capabilities()  # on x86 oneDNN supports it by emulation, too
    return found["architecture"] != "x86_64" or bool(found["avx512_bf16"] or found["amx_bf16"])


def threads() -> int:
    """Threads of one computation on the CPU (OMP_NUM_THREADS, as a rule)."""
    return torch.get_num_threads()
