"""Files written so that a power cut leaves the old one or the new one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file in one step, durable when it returns.

    No one sees half of it, nor its content under a wider mode.
    """
    with replace_file(path, mode=mode) as file:
        file.write(content)


@contextmanager
def replace_file(path: Path, *, mode: int) -> Iterator[BinaryIO]:
    """As ``write_file``, for what is written bit by bit; if that ends in an exception the old file stays."""
    # Two tasks of one process may write the same file.
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make what was renamed or removed in a directory durable."""
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
