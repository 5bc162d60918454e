"""Look at a post's certificates: authority, broker's certificate and key, list of revoked ones."""

import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from gateway import certificates
from gateway.certificates import Pair
from gateway.errors import BrokerError, KeysError
from gateway.fleet.revocation import broker_lines, crl_path
from gateway.ingest.link import tls_context
from gateway.settings import Settings
from gateway.starting.findings import Found

SOON_DAYS: Final = 60  # to renew a certificate before a technician comes by chance


def check_certificates(loaded: Settings, now: dt.datetime) -> Iterator[Found]:
    """Look at authority, broker's certificate and key, and the list of revoked ones."""
    nodes, external = loaded.broker.nodes, loaded.broker
    if loaded.authority.ca_file:
        yield from _readable("authority.ca_file", Path(loaded.authority.ca_file))
    if external.external:
        yield from _check_external(loaded, now)
        return  # what lies there for a broker of our own is not used
    if not nodes.ca_file:
        return
    try:
        authority = certificates.load_certificate(Path(nodes.ca_file))
        pair = certificates.load_pair(Path(nodes.certificate_file), Path(nodes.key_file))
    except KeysError as error:
        yield Found("certificates", str(error))
        return
    yield from _check_chain(loaded, pair.certificate, authority)
    for path, certificate, renew in (
        (nodes.ca_file, authority, "make a new folder of keys, with new keys for every node"),
        (nodes.certificate_file, pair.certificate, f"`{_renewal(loaded)}` makes it anew"),
    ):
        yield from _check_dates(Path(path), certificate, now, renew)
    yield from _check_names(loaded, pair.certificate)
    yield from _check_authority_key(Path(nodes.ca_file))
    yield from _check_crl(loaded, authority, pair, now)


def _check_external(loaded: Settings, now: dt.datetime) -> Iterator[Found]:
    """Look at what the gateway shows an external broker, whoever has signed it."""
    broker = loaded.broker
    if not broker.ca_file:
        return
    try:
        tls_context(loaded)  # as the gateway does it
        names = (broker.ca_file, broker.certificate_file)
        found = [(Path(name), certificates.load_certificate(Path(name))) for name in names]
    except (BrokerError, KeysError) as error:
        yield Found("certificates", str(error))
        return
    for path, certificate in found:
        yield from _check_dates(path, certificate, now, "have it made anew by who runs the broker")


def _readable(setting: str, path: Path) -> Iterator[Found]:
    try:
        certificates.load_certificate(path)
    except KeysError as error:
        yield Found("certificates", f"{setting}: {error}")


def _renewal(loaded: Settings) -> str:
    """Return the command that makes the broker's certificate anew."""
    folder = Path(loaded.broker.nodes.certificate_file).parent
    return f"harmattan keys {folder} --post {loaded.post} --renew"


def _check_chain(
    loaded: Settings, certificate: x509.Certificate, authority: x509.Certificate
) -> Iterator[Found]:
    path = loaded.broker.nodes.certificate_file
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        yield Found(
            "certificates",
            f"{path} is not signed by the authority beside it; put the files of one post together,"
            f" or make it again with `{_renewal(loaded)}`",
        )


def _check_dates(
    path: Path, certificate: x509.Certificate, now: dt.datetime, renew: str
) -> Iterator[Found]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        yield Found(
            "certificates",
            f"{path} is valid from {begins:%Y-%m-%d} on, and this computer's clock says"
            f" {now:%Y-%m-%d}; set the clock",
        )
    elif now > ends:
        yield Found(
            "certificates",
            f"{path} has expired on {ends:%Y-%m-%d}, by this computer's clock, which says"
            f" {now:%Y-%m-%d}; if that is wrong, set the clock, else {renew}",
        )
    elif now > ends - dt.timedelta(days=SOON_DAYS):
        yield Found("certificates", f"{path} expires on {ends:%Y-%m-%d}; {renew}", is_fault=False)


def _check_names(loaded: Settings, certificate: x509.Certificate) -> Iterator[Found]:
    """Look whether nodes accept the broker by its name, and by the address they connect to."""
    host = loaded.broker.nodes.host
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield Found(
            "certificates",
            f"{loaded.broker.nodes.certificate_file} names no host, so no node accepts it; make it"
            f" again with `{_renewal(loaded)} --host ...`",
        )
        return
    address = ipaddress.ip_address(host) if host else None
    known = names.get_values_for_type(x509.IPAddress)
    always = certificates.broker_name(loaded.post)
    if always not in names.get_values_for_type(x509.DNSName):
        yield Found(
            "certificates",
            f"{loaded.broker.nodes.certificate_file} is not for {always}, so nodes that go by this"
            " name (broker.name in node.json) refuse the broker; make it again"
            f" with `{_renewal(loaded)}`",
        )
    if address is not None and not address.is_unspecified and address not in known:
        told = ", ".join(map(str, (*names.get_values_for_type(x509.DNSName), *known)))
        yield Found(
            "certificates",
            f"{loaded.broker.nodes.certificate_file} is not for broker.nodes.host = {host!r}; nodes"
            f" must name the broker {told} (broker.name in node.json), or make it again for this"
            f" address: `{_renewal(loaded)} --host {host} ...`",
            is_fault=False,
        )


def _check_authority_key(ca_path: Path) -> Iterator[Found]:
    key_path = ca_path.with_name(certificates.CA_KEY)
    if key_path.exists():
        try:
            certificates.load_pair(ca_path, key_path)
        except KeysError as error:
            yield Found("certificates", str(error))


def _check_crl(
    loaded: Settings, authority: x509.Certificate, gateway: Pair, now: dt.datetime
) -> Iterator[Found]:
    path = crl_path(loaded.broker.nodes)
    if path is None or not broker_lines(loaded.broker):
        yield Found(
            "certificates",
            f"{path} does not exist, so the broker knows no revoked certificate; `harmattan nodes"
            " crl` makes it",
            is_fault=False,
        )
        return
    try:
        crl = certificates.load_crl(path)
    except KeysError as error:
        yield Found("certificates", str(error))
        return
    again = "`harmattan nodes crl` with the authority's key at hand writes it anew"
    key = authority.public_key()
    if crl.issuer != authority.subject or not crl.is_signature_valid(key):  # type: ignore[arg-type]
        yield Found("certificates", f"{path} is not signed by this post's authority; {again}")
    begins, ends = crl.last_update_utc, crl.next_update_utc
    if now < begins or (ends is not None and now > ends):
        told = f"{begins:%Y-%m-%d}" + (f" to {ends:%Y-%m-%d}" if ends else " on")
        yield Found(
            "certificates",
            f"{path} is valid from {told} and this computer's clock says {now:%Y-%m-%d}, so no node"
            f" can connect; set the clock, or {again}",
        )
    serial = gateway.certificate.serial_number
    if crl.get_revoked_certificate_by_serial_number(serial) is not None:
        yield Found(
            "certificates",
            f"{path} revokes the broker's own certificate; move it and its key away and make new"
            f" ones: `{_renewal(loaded)} --host ...`",
        )
