"""What is installed: versions against the tested ranges, whether packages import, the machine, and its kernels."""

from __future__ import annotations

import importlib
import os
import platform
from importlib.util import find_spec
from typing import Any

from attnscope._version import __version__
from attnscope.doctor.diagnosis import Finding, Section, State, attempt, join, reason
from attnscope.versions import OPTIONAL, TESTED, Tested

_TOLERANCE = 1e-5  # of kernels in float32 against the dense softmax


def packages() -> Section:
    """Versions of Python and of the packages that attnscope leans on, each imported once."""
    python = Finding("python", "ok", join([platform.python_version(), platform.platform()]))
    rows = [_package(tested) for tested in TESTED]
    rows += [_package(tested, optional=True) for tested in OPTIONAL]
    return Section(f"attnscope {__version__}", (python, *rows))


def _package(tested: Tested, optional: bool = False) -> Finding:
    name, version, standing = tested.package, tested.installed() or "", tested.standing()
    if standing == "missing":
        need = f"not installed; {'optional' if optional else 'needed'}, {tested.floor} or later"
        return Finding(name, "absent" if optional else "fail", need)
    try:
        importlib.import_module(tested.module)
    except Exception as error:  # whatever a broken package raises
        return Finding(name, "fail", f"{version} is installed, but cannot be imported: {reason(error)}")
    span = f"tested {tested.floor} to {tested.newest}"
    remarks: dict[str, tuple[State, str]] = {
        "tested": ("ok", f"{version:<10} {span}"),
        "newer": ("note", f"{version:<10} newer than {tested.newest}, the newest that was tested"),
        "older": ("fail", f"{version:<10} too old; attnscope needs {tested.floor} or later"),
        "unreadable": ("note", f"{version or 'version unknown':<10} not a release; {span}"),
    }
    return Finding(name, *remarks[standing])


def machine() -> Section:
    """Processor, accelerators, and the libraries that come inside packages."""
    return Section(
        "Machine",
        (
            attempt("cpu", _cpu),
            attempt("cuda", _cuda),
            attempt("mps", _mps),
            attempt("torchvision", _torchvision),
            attempt("ffmpeg", _ffmpeg),
            attempt("hdf5", _hdf5),
        ),
    )


def _cpu() -> str:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return join([platform.machine(), f"{cores} cores", f"{torch.get_num_threads()} threads for torch"])


def _cuda() -> str | Finding:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda
        about = f"torch was built for CUDA {built}, but sees no device" if built else "torch was built without CUDA"
        return Finding("cuda", "absent", about)
    cards = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return join([*(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards), str(torch.version.cuda)])


def _mps() -> str | Finding:
    import torch

    return "there" if torch.backends.mps.is_available() else Finding("mps", "absent", "torch sees no Apple GPU")


def _torchvision() -> str:
    """A torchvision of another torch imports, or fails only when an operator of its own is called."""
    import torch
    from torchvision.ops import nms

    kept = nms(torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]]), torch.tensor([0.5, 0.9]), 0.5)
    if kept.tolist() != [1]:
        raise ValueError(f"torchvision.ops.nms keeps boxes {kept.tolist()}, not [1]")
    return "its operators run with this torch"


def _ffmpeg() -> str | Finding:
    import av

    versions = {name: ".".join(map(str, numbers)) for name, numbers in av.library_versions.items()}
    missing = [name for name in ("h264", "hevc", "vp9", "av1", "mpeg4") if name not in av.codecs_available]
    text = join(f"{name} {versions[name]}" for name in ("libavcodec", "libavformat") if name in versions)
    return Finding("ffmpeg", "note", f"{text}; no decoder for {join(missing)}") if missing else text


def _hdf5() -> str:
    import h5py
    import hdf5plugin
    import numpy as np

    rows = np.arange(64, dtype=np.float16).reshape(8, 8)
    with h5py.File("doctor", "w", driver="core", backing_store=False) as file:
        for name, filter in (("Bitshuffle", hdf5plugin.Bitshuffle()), ("Blosc", hdf5plugin.Blosc(cname="zstd"))):
            file.create_dataset(name, data=rows, chunks=(4, 8), **filter)
            if not np.array_equal(file[name][:], rows):
                raise ValueError(f"rows come back otherwise than they were written through {name}")
    return f"{h5py.version.hdf5_version}, Bitshuffle and Blosc read what they wrote"


def backends() -> Section:
    """Attention kernels, each compared with a dense softmax in float32."""
    return Section(
        "Attention backends, against a dense softmax",
        (
            attempt("sdpa", _sdpa),
            attempt("flex_attention", _flex),
            _flash("flash_attention_2", "flash_attn", "flash_attn_func"),
            _flash("flash_attention_3", "flash_attn_interface", "flash_attn_func"),
        ),
    )


def _sdpa() -> str:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    query, key, value = _tensors(device)
    output = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    return _compared(output, _dense(query, key, value, causal=True), _TOLERANCE, device)


def _flex() -> str:
    import warnings

    from torch.nn.attention.flex_attention import flex_attention

    query, key, value = _tensors("cpu")
    with warnings.catch_warnings():  # it says that it is slow when it is not compiled
        warnings.simplefilter("ignore")
        output: Any = flex_attention(query, key, value)
    return _compared(output, _dense(query, key, value, causal=False), _TOLERANCE, "cpu, not compiled")


def _flash(name: str, module: str, function: str) -> Finding:
    if find_spec(module) is None:
        return Finding(name, "absent", f"the package {module} is not installed")

    def check() -> str | Finding:
        import torch

        kernel = getattr(importlib.import_module(module), function)
        if not torch.cuda.is_available():
            return Finding(name, "note", f"{module} imports; it needs CUDA, so it was not run")
        query, key, value = (tensor.half() for tensor in _tensors("cuda"))
        output = kernel(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), causal=True)
        output = output[0] if isinstance(output, tuple) else output
        reference = _dense(query.float(), key.float(), value.float(), causal=True)
        return _compared(output.transpose(1, 2).float(), reference, 5e-3, "cuda, float16")

    return attempt(name, check)


def _tensors(device: str) -> Any:
    """Query, key and value, each [1 batch, 2 heads, 16 positions, 32 channels]."""
    import torch

    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(1, 2, 16, 32, generator=generator).to(device) for _ in range(3))


def _dense(query: Any, key: Any, value: Any, *, causal: bool) -> Any:
    import torch

    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if causal:
        logits = logits.masked_fill(torch.ones_like(logits[0, 0], dtype=torch.bool).triu(1), -torch.inf)
    return logits.softmax(-1) @ value


def _compared(output: Any, reference: Any, tolerance: float, where: str) -> str:
    difference = float((output - reference).abs().max())
    if not difference <= tolerance:
        raise ValueError(f"differs from the dense softmax by {difference:.1e} on {where} (allowed: {tolerance:.0e})")
    return f"runs on {where}, differs by {difference:.0e}"
