"""A bundle as one file to download: a tar archive, compressed, the same bytes for the same bundle."""

import gzip
import io
import tarfile

from functions.contract.messages import BundleView

MEDIA_TYPE = "application/gzip"

_OPEN_MODE = 0o644
_PRIVATE_MODE = 0o600


def pack(bundle: BundleView) -> bytes:
    """The archive of a bundle, with ``ca.crt`` and the others at its top.

    Private files are readable by their owner only, once unpacked. Nothing in
    it is of the moment or the machine: times, owners and order are fixed.
    """
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for file in bundle.files:
            content = file.content.encode()
            about = tarfile.TarInfo(file.name)
            about.size = len(content)
            about.mode = _PRIVATE_MODE if file.is_private else _OPEN_MODE
            archive.addfile(about, io.BytesIO(content))
    return packed.getvalue()
