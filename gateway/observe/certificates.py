"""How long the certificates of a post's settings are still valid, and what a jump of the clock is.

A computer whose clock is years ahead takes every certificate for expired: its broker then refuses
each node that connects. From the certificates alone that looks like their end. What tells them
apart is that the clock passed that end in one jump.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509

from gateway.certificates import ISSUED
from gateway.journal.moments import Moments
from gateway.screening.watchlists import clock_ahead
from gateway.settings import Settings
from gateway.units import named

PEM_BYTES_MAX: Final = 1 << 20  # a bundle of authorities has some 200 kB
DAY_S: Final = 86_400

_REFUSED: Final = (
    "the broker refuses every node that connects anew. The clock is wrong, not the nodes and not"
    " their certificates, unless the post was off all that time."
)
_MEND: Final = (
    "Set the clock (`timedatectl set-time`) and see to its time service and battery; the nodes then"
    " come back by themselves"
)


def days_left(settings: Settings, now_ms: int) -> dict[str, float | None]:
    """Return setting -> days until the first of its certificates ends; None: it cannot be read.

    Args:
        settings: of the post; files that it does not name are not there.
        now_ms: wall clock, Unix milliseconds.
    """
    ends = {name: _end_ms(path) for name, path in _files(settings).items()}
    return {
        name: None if end_ms is None else (end_ms - now_ms) / (1_000 * DAY_S)
        for name, end_ms in ends.items()
    }


def _files(settings: Settings) -> dict[str, Path]:
    """Return setting -> file with certificates, of those that are named."""
    broker, nodes = settings.broker, settings.broker.nodes
    files = {
        "broker.ca_file": broker.ca_file,
        "broker.certificate_file": broker.certificate_file,
        "broker.nodes.ca_file": nodes.ca_file,
        "broker.nodes.certificate_file": nodes.certificate_file,
        "authority.ca_file": settings.authority.ca_file,
    }
    return {name: Path(path) for name, path in files.items() if path}


def _end_ms(path: Path) -> int | None:
    """Return when the first certificate in a file ends, Unix milliseconds; None: unreadable."""
    try:
        with path.open("rb") as file:
            content = file.read(PEM_BYTES_MAX)
        if path.suffix == ".der":
            found = [x509.load_der_x509_certificate(content)]
        else:
            found = x509.load_pem_x509_certificates(content)
        end = min(certificate.not_valid_after_utc for certificate in found)
    except (OSError, ValueError):
        return None
    return int(end.timestamp() * 1_000)


def newest_of(node: str, authority: Path) -> Path | None:
    """Return the newest certificate of a node where it is kept beside the authority's, or None.

    Args:
        node: whose it is.
        authority: file with the authority's certificate.
    """
    issued = sorted((authority.parent / ISSUED).glob(f"{node}.*.pem"), key=_made_ns)
    carried = authority.parent / "nodes" / node / "node.der"
    if issued:
        return issued[-1]
    return carried if carried.exists() else None


def _made_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def link_ends(settings: Settings, *, only_own: bool = False) -> dict[str, int]:
    """Return what a node's connection needs -> when it ends, Unix milliseconds.

    These are the certificates of the broker, of the authority and, where they are kept beside it,
    of the nodes.

    Args:
        settings: of the post.
        only_own: without those of the nodes.
    """
    nodes = settings.broker.nodes
    files = {n: p for n, p in _files(settings).items() if n.startswith("broker.nodes.")}
    if nodes.ca_file and not only_own:
        for node in settings.nodes:
            path = newest_of(node.id, Path(nodes.ca_file))
            if path is not None:
                files[f"node {node.id}"] = path
    ends = {name: _end_ms(path) for name, path in files.items()}
    return {name: end_ms for name, end_ms in ends.items() if end_ms is not None}


def ahead(ends: Mapping[str, int], moments: Moments, now_ms: int) -> str:
    """Say that the clock is years ahead, and no certificate has really ended; empty: it is not.

    Args:
        ends: see `link_ends`.
        moments: what the clock has said until now.
        now_ms: what it says, Unix milliseconds.
    """
    try:
        now = dt.datetime.fromtimestamp(now_ms / 1_000, dt.UTC)
    except (OverflowError, ValueError):
        return "this computer's clock says a year that no calendar has; set the clock"
    ended = [name for name, end_ms in ends.items() if end_ms <= now_ms]
    if moments.before_ms is not None:
        passed = [name for name in ended if ends[name] > moments.before_ms]
        if passed:
            before = dt.datetime.fromtimestamp(moments.before_ms / 1_000, dt.UTC)
            return (
                f"this computer's clock says {now:%Y-%m-%d}; it came there in one jump from"
                f" {before:%Y-%m-%d}, past the end of {named(passed)}: {_REFUSED} {_MEND}"
            )
    told = clock_ahead(now.date())
    if told and ended:
        return f"{told}. By it {named(ended)} ended: {_REFUSED} {_MEND}"
    return told
