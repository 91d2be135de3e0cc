import platform
import subprocess
import sys

import pytest

# Of forty thousand messages one in a hundred stays, the last among them, so that none of the room is at the end.
READ = """
import psutil
from functions.contract.memory import settle_memory

messages = [bytes(1000) for _ in range(40_000)]
full = psutil.Process().memory_info().rss
kept = messages[99::100]
del messages
settle_memory()
print(full - psutil.Process().memory_info().rss)
"""


def test_what_reading_took_and_left_goes_back_to_the_system() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("this C library gives memory back by itself, or not at all: nothing to try without glibc")

    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, timeout=60, check=True)

    # All but a page around each of those that stay.
    assert int(done.stdout) > 25_000_000
