"""Doors upward: what a Plane or a Partition does for the user's convenience in packages above, imported when it is used.

The proof asks the model, what a notebook shows of them (HTML, PNG) is drawn, certificates are files, progress is told: this
package knows none of these. The only place in it that imports upward.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from splineviz.errors import Progress

if TYPE_CHECKING:
    from splineviz.geometry.partition import Partition
    from splineviz.geometry.plane import Plane
    from splineviz.regions.certificate import CertificateReport as CertificateReport


def verify(partition: Partition, model: Any, **options: Any) -> CertificateReport:
    """See `regions.certificate.verify`."""
    from splineviz.regions import certificate

    return certificate.verify(partition, model, **options)


def write_certificate(path: str | os.PathLike[str], partition: Partition, model: Any) -> None:
    """See `jobs.certificate_file.write`."""
    from splineviz.jobs import certificate_file

    certificate_file.write(path, partition, model)


def partition_png(partition: Partition) -> bytes:
    """What a notebook shows of a Partition: a picture."""
    from splineviz.drawing import previews

    return previews.partition_png(partition)


def partition_html(partition: Partition) -> str:
    """The same with numbers."""
    from splineviz.drawing import previews

    return previews.partition_html(partition)


def plane_png(plane: Plane) -> bytes:
    """What a notebook shows of a Plane: its anchors."""
    from splineviz.drawing import previews

    return previews.plane_png(plane)


def plane_html(plane: Plane) -> str:
    """The same with numbers."""
    from splineviz.drawing import previews

    return previews.plane_html(plane)


def progress(text: str, *, after: float = 0.0) -> Progress | None:
    """See `drawing.previews.progress`, which is asked in notebooks alone."""
    if "IPython" not in sys.modules:
        return None
    from splineviz.drawing import previews

    return previews.progress(text, after=after)
