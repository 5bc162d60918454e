"""Keys and certificates of a post: its authority, the broker's, the nodes', and which are revoked.

EC P-256 throughout: every board's mbedTLS has it, and a handshake is short. The authority's folder
holds

    ca.pem, ca-key.pem             the authority; whoever has its key is any node
    gateway.pem, gateway-key.pem   the broker's
    crl.pem                        the list of revoked certificates
    issued/NAME.SERIAL.pem         every certificate made for a node: what a revocation needs
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import KeysError
from gateway.files import SECRET, make_folder, sync_folder, write_new, write_whole

AUTHORITY_DAYS = 3_650  # ten years: the life of a post's equipment
CERTIFICATE_DAYS = 1_825  # five years: renewed with the node's battery; expiry ends a lost key too
# A computer that has lost its time begins in 1970, 2000 or where its firmware says. Were
# certificates not valid then, the post would hear nobody until somebody came to set the clock.
VALID_FROM = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# No certificate was made before this program was: one made by a clock that has lost its time would
# have expired on the day that clock is set.
MADE_FROM = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)

CA: Final = "ca.pem"
CA_KEY: Final = "ca-key.pem"
GATEWAY: Final = "gateway.pem"
GATEWAY_KEY: Final = "gateway-key.pem"
CRL: Final = "crl.pem"
ISSUED: Final = "issued"
HOST_CHARS_MAX: Final = 253  # RFC 1035, 2.3.4
_HOST: Final = re.compile(  # RFC 1123, 2.1
    r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*"
)
_NUMBER: Final = re.compile(r"(?:^|\.)[0-9]+$")  # no top level has it: it is a wrong address
PEM_BYTES_MAX: Final = 4 << 20  # 32,000 revoked certificates; more than all nodes ever have


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def certificate_der(self) -> bytes:
        """Return the certificate as DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self) -> bytes:
        """Return the key as PEM (PKCS 8), not encrypted."""
        return self._key(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)

    def key_der(self) -> bytes:
        """Return the key as DER (SEC 1), the form that every board's mbedTLS reads."""
        return self._key(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL)

    def _key(self, encoding: serialization.Encoding, form: serialization.PrivateFormat) -> bytes:
        return self.key.private_bytes(encoding, form, serialization.NoEncryption())


def broker_name(post: str) -> str:
    """Return the name that a post's broker always has: nodes that go by it know any address."""
    return f"gateway.{post}"


def made_on(now: dt.datetime) -> dt.datetime:
    """Return from when a new certificate's years count: `now`, where that can be true."""
    return max(now, MADE_FROM)


def make_authority(name: str, now: dt.datetime) -> Pair:
    """Return a certification authority; nodes and broker of one post trust it and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    until = now + dt.timedelta(days=AUTHORITY_DAYS)
    builder = _builder(subject, subject, key, VALID_FROM, until)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def issue(
    authority: Pair,
    name: str,
    now: dt.datetime,
    *,
    hosts: tuple[str, ...] = (),
    days: int = CERTIFICATE_DAYS,
    since: dt.datetime | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Pair:
    """Return a certificate signed by `authority`.

    Args:
        authority: that signs.
        name: common name.
        now: when it is issued.
        hosts: names and addresses a server answers to; empty makes it a client's.
        days: it is valid after `now`.
        since: it is valid; None: the first day that any clock shows.
        key: it is for; None: a new one.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    until = now + dt.timedelta(days=days)
    since = since or VALID_FROM
    builder = _builder(_name(name), authority.certificate.subject, key, since, until)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs=False), critical=True)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    since: dt.datetime,
    until: dt.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def check_host(host: str) -> None:
    """Insist on what a node can look for in a certificate: a name or an address, nothing around it.

    Raises:
        KeysError: it is neither.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if len(host) > HOST_CHARS_MAX or not _HOST.fullmatch(host) or _NUMBER.search(host):
            raise KeysError(
                f"--host {host[:80]!r}: use one host's name or one IP address, without port; give"
                " --host again for each further one"
            ) from None


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def common_name(certificate: x509.Certificate) -> str:
    """Return whose certificate it is; empty when it does not say."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names and addresses that a server's certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *map(str, addresses))


# ----------------------------------------------------------------------------- revoked ones


def make_crl(
    authority: Pair, revoked: Mapping[int, dt.datetime], now: dt.datetime, number: int = 1
) -> x509.CertificateRevocationList:
    """Return the list of revoked certificates, signed by `authority`.

    It is valid as long as the authority, from the first day that any clock shows: an outdated list,
    or one from the future of a clock that has lost its time, would lock every node out, and no
    technician comes for months.

    Args:
        authority: that signs.
        revoked: serial numbers with the time of their revocation.
        now: when it is made.
        number: of the list; each new one has a higher one.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(min(VALID_FROM, now))
        .next_update(authority.certificate.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    for serial, since in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256())


def write_crl(
    path: Path, authority: Pair, revoked: Mapping[int, dt.datetime], now: dt.datetime
) -> None:
    """Replace the list of revoked certificates at `path`, or make the first.

    Raises:
        KeysError: what is there is no list.
        OSError: it cannot be written; the old one is as it was.
    """
    number = crl_number(load_crl(path)) + 1 if path.exists() else 1
    made = make_crl(authority, revoked, now, number)
    write_whole(path, made.public_bytes(serialization.Encoding.PEM))


def crl_number(crl: x509.CertificateRevocationList) -> int:
    """Return the number of a list, 0 when it has none."""
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0


# ----------------------------------------------------------------------------------- files


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(PEM_BYTES_MAX + 1)
    except OSError as error:
        raise KeysError(
            f"{path}: {error.strerror}; put it back, or give this user the right to read it"
        ) from error
    if len(content) > PEM_BYTES_MAX:
        raise KeysError(f"{path}: larger than {PEM_BYTES_MAX} bytes; this is another file")
    return content


def load_certificate(path: Path) -> x509.Certificate:
    """Return the certificate in a PEM or DER file.

    Raises:
        KeysError: there is none.
    """
    content = _read(path)
    load = (
        x509.load_pem_x509_certificate
        if content.lstrip().startswith(b"-")
        else x509.load_der_x509_certificate
    )
    try:
        return load(content)
    except ValueError as error:
        raise KeysError(f"{path} is no certificate: {error}; put the right file there") from error


def load_crl(path: Path) -> x509.CertificateRevocationList:
    """Return the list of revoked certificates in a PEM file.

    Raises:
        KeysError: there is none.
    """
    try:
        return x509.load_pem_x509_crl(_read(path))
    except ValueError as error:
        raise KeysError(
            f"{path} is no list of revoked certificates: {error}; `harmattan nodes crl` makes a"
            " new one"
        ) from error


def load_pair(certificate_path: Path, key_path: Path) -> Pair:
    """Return a certificate with its key, from PEM files.

    Raises:
        KeysError: one of them cannot be used, or they do not belong together.
    """
    certificate = load_certificate(certificate_path)
    try:
        key = serialization.load_pem_private_key(_read(key_path), None)
    except (ValueError, TypeError) as error:
        raise KeysError(
            f"{key_path} is no key without a password: {error}; put the right file there"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise KeysError(f"{key_path} does not belong to {certificate_path}; put the right one back")
    return Pair(certificate, key)


def write_authority(folder: Path, authority: Pair, now: dt.datetime) -> None:
    """Write a new authority into `folder`, with an empty list of revoked certificates."""
    write_new(folder / CA_KEY, authority.key_pem(), mode=SECRET)
    write_crl(folder / CRL, authority, {}, now)
    write_new(folder / CA, authority.certificate_pem())


def write_gateway(folder: Path, gateway: Pair) -> None:
    """Write the broker's certificate and key into `folder`."""
    write_new(folder / GATEWAY_KEY, gateway.key_pem(), mode=SECRET)
    write_new(folder / GATEWAY, gateway.certificate_pem())


def note_issued(folder: Path, name: str, certificate: x509.Certificate) -> None:
    """Keep a node's certificate, so that it can be revoked when nothing else is left of it."""
    place = folder / ISSUED
    if not place.exists():
        make_folder(place)
    write_whole(
        place / f"{name}.{certificate.serial_number:x}.pem",
        certificate.public_bytes(serialization.Encoding.PEM),
    )
    sync_folder(folder)


def issued_to(folder: Path, name: str) -> tuple[list[x509.Certificate], list[str]]:
    """Return a node's certificates that are kept in the authority's folder, and what is unreadable.

    Those made before any were kept are taken from the node's own folder, if it is still there. What
    is unreadable is one sentence a file, with the remedy.
    """
    found: dict[int, x509.Certificate] = {}
    faults = []
    kept = sorted((folder / ISSUED).glob(f"{name}.*.pem"))
    own = folder / "nodes" / name / "node.der"
    for path in (*kept, own):
        try:
            certificate = load_certificate(path)
        except KeysError as error:
            is_needed = not isinstance(error.__cause__, FileNotFoundError) and not found
            if path in kept or is_needed:
                faults.append(str(error))
        else:
            found[certificate.serial_number] = certificate
    return list(found.values()), faults


def nodes_issued(folder: Path) -> frozenset[str]:
    """Return the nodes that certificates are kept of in the authority's folder."""
    kept = {path.name.split(".")[0] for path in (folder / ISSUED).glob("*.*.pem")}
    own = {path.parent.name for path in (folder / "nodes").glob("*/node.der")}
    return frozenset(kept | own)


def write_node(place: Path, authority: Pair, node: Pair) -> None:
    """Write the three files of a node into the folder `place`."""
    write_new(place / "ca.der", authority.certificate_der())
    write_new(place / "node.der", node.certificate_der())
    write_new(place / "node-key.der", node.key_der(), mode=SECRET)


def add_node(folder: Path, authority: Pair, name: str, now: dt.datetime) -> Path:
    """Make the keys of a node in the authority's folder; return where they lie."""
    place = folder / "nodes" / name
    if not place.parent.exists():
        make_folder(place.parent)
    make_folder(place, mode=0o700)
    node = issue(authority, name, now)
    note_issued(folder, name, node.certificate)  # first: no key leaves that cannot be revoked
    write_node(place, authority, node)
    return place
