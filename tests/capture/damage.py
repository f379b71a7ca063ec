"""Ways to break a capture file."""

from __future__ import annotations

from pathlib import Path

import h5py


def flip_chunk(path: Path, node: str, chunk: tuple[int, ...] | None = None) -> None:
    """Flip one byte in the middle of a chunk of a dataset (its first by default), behind HDF5's back."""
    with h5py.File(path) as file:
        dataset = file[node]
        at = chunk or (0,) * dataset.ndim
        found = dataset.id.get_chunk_info_by_coord(at)
        offset = found.byte_offset + found.size // 2
    flip_byte(path, offset)


def flip_byte(path: Path, offset: int) -> None:
    """Flip every bit of one byte of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(bytes(data))
