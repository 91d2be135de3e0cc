"""Messages of bundles: the files that a device is given."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from functions.contract.messages.base import Message, Pem, Request


class FileContent(Message):
    """A file of a bundle; a private one is for its owner only."""

    name: str
    content: str = Field(repr=False)
    is_private: bool


class FileWanted(Request):
    """Asks for one of the files that devices may fetch."""

    name: Annotated[str, Field(max_length=64)]


class BundleView(Message):
    """A certificate and the files that go with it onto a device."""

    common_name: str
    serial: str
    expires_at: datetime
    files: list[FileContent]


class DeviceRegister(Request):
    """Registers a device and gives its bundle; without a CSR with a new key, which nobody keeps."""

    device_id: Annotated[str, Field(max_length=64)]
    csr_pem: Pem | None = None
    days: Annotated[int, Field(ge=1, le=36500)] | None = None
