"""Memory does not grow with the size of a data set."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import datasets

READ = """
import sys
from pathlib import Path
import psutil
import attnscope.scene.importers.datasets
from attnscope.scene.importers.registry import IMPORTERS
process, used = psutil.Process(), []
for number, _ in enumerate(IMPORTERS[sys.argv[1]](Path(sys.argv[2]))):
    if number % 500 == 0:
        used.append(process.memory_info().rss)
print(number + 1, max(used) - used[1])
"""
COUNT = 40_000
GROWTH = 8  # MiB, of 7 to 41 that the files have


def av_speakerbench(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    datasets.av_speakerbench(folder / "test.jsonl", count)
    return folder


def folder_of(write: Callable[[Path, int], object]) -> Callable[[Path, int], Path]:
    def made(folder: Path, count: int) -> Path:
        write(folder, count)
        return folder

    return made


WRITERS: dict[str, Callable[[Path, int], Path]] = {
    "tvqa": folder_of(datasets.tvqa),
    "friends-mmc": folder_of(datasets.friends_mmc),
    "werewolf": folder_of(datasets.werewolf),
    "av-speakerbench": av_speakerbench,
}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("name", WRITERS)
def test_memory_does_not_grow_with_the_file(name: str, tmp_path: Path) -> None:
    path = WRITERS[name](tmp_path, COUNT)
    ran = subprocess.run([sys.executable, "-c", READ, name, str(path)], capture_output=True, text=True, check=True)
    read, growth = map(int, ran.stdout.split())
    assert read >= 0.9 * COUNT
    assert growth / 2**20 < GROWTH
