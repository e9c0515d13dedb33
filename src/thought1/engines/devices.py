"""What torch can compute on here. It knows no model."""

import torch


def devices() -> list[str]:
    """Names of the devices, the one that is used by default first."""
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return [*gpus, "cpu"]


def threads() -> int:
    """Threads of one computation on the CPU (OMP_NUM_THREADS, as a rule)."""
    return torch.get_num_threads()
