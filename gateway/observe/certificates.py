"""How long the certificates of a post's settings are still valid."""

import datetime as dt
from pathlib import Path
from typing import Final

from cryptography import x509

from gateway.settings import Settings

PEM_BYTES_MAX: Final = 1 << 20  # a bundle of authorities has some 200 kB
DAY_S: Final = 86_400


def days_left(settings: Settings, now_ms: int) -> dict[str, float | None]:
    """Return setting -> days until the first of its certificates ends; None: it cannot be read.

    Args:
        settings: of the post; files that it does not name are not there.
        now_ms: wall clock, Unix milliseconds.
    """
    broker, nodes = settings.broker, settings.broker.nodes
    files = {
        "broker.ca_file": broker.ca_file,
        "broker.certificate_file": broker.certificate_file,
        "broker.nodes.ca_file": nodes.ca_file,
        "broker.nodes.certificate_file": nodes.certificate_file,
        "authority.ca_file": settings.authority.ca_file,
    }
    return {name: _days_left(Path(path), now_ms) for name, path in files.items() if path}


def _days_left(path: Path, now_ms: int) -> float | None:
    try:
        with path.open("rb") as file:
            found = x509.load_pem_x509_certificates(file.read(PEM_BYTES_MAX))
        end = min(certificate.not_valid_after_utc for certificate in found)
    except (OSError, ValueError):
        return None
    now = dt.datetime.fromtimestamp(now_ms / 1_000, dt.UTC)
    return (end - now).total_seconds() / DAY_S
