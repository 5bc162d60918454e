"""Keys and certificates of a post: one authority, one for the broker, one for each node.

    python -m hardware.keys DIR --post POST --host NAME_OR_ADDRESS NODE [NODE ...]

writes, and never overwrites,

    DIR/ca-key.pem                   the authority's key: keep it apart, whoever has it is any node
    DIR/ca.pem, gateway.pem, gateway-key.pem    for [broker.nodes] of the gateway's settings
    DIR/nodes/NODE/ca.der, node.der, node-key.der    to be copied into `keys` on that node

Run again with more nodes, it adds them under the same authority. EC P-256 throughout: every board's
mbedTLS has it, and a handshake is short. The node's name is its certificate's common name, which is
what the broker's access list goes by.
"""

import argparse
import datetime as dt
import ipaddress
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol import topics
from protocol.errors import TopicError

AUTHORITY_DAYS = 3_650  # ten years: the life of a post's equipment
CERTIFICATE_DAYS = 1_825  # five years: renewed with the node's battery; expiry ends a lost key too
# A board without battery begins on the day its firmware was made for (firmware/node/calendar.py);
# certificates made later must be valid then, or it could never ask for the time.
VALID_FROM = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


class KeysError(Exception):
    """The keys cannot be made as asked; the text says why and what would do."""


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


def make_authority(name: str, now: dt.datetime) -> Pair:
    """Return a certification authority; nodes and broker of one post trust it and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    until = now + dt.timedelta(days=AUTHORITY_DAYS)
    builder = _builder(subject, subject, key, min(VALID_FROM, now), until)
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
) -> Pair:
    """Return a certificate signed by `authority`.

    Args:
        authority: that signs.
        name: common name.
        now: when it is issued.
        hosts: names and addresses a server answers to; empty makes it a client's.
        days: it is valid after `now`.
        since: it is valid; None: the first day any board's clock shows.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    until = now + dt.timedelta(days=days)
    since = since or min(VALID_FROM, now)
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


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


# ---------------------------------------------------------------------------------- files


def make_post(
    folder: Path, post: str, hosts: tuple[str, ...], nodes: list[str], now: dt.datetime
) -> list[Path]:
    """Make what is missing in `folder`; return the folders of the nodes that were added.

    Raises:
        KeysError: a name will not do, a node has keys already, or what is there is not ours.
    """
    for name in (post, *nodes):
        try:
            topics.check_name(name)
        except TopicError as error:
            raise KeysError(str(error)) from error
    places = [folder / "nodes" / name for name in nodes]
    for place in places:
        if place.exists():
            raise KeysError(f"{place} exists; remove it if this node is to have new keys")
    folder.mkdir(parents=True, exist_ok=True)
    authority = _authority(folder, post, now)
    if not (folder / "gateway.pem").exists():
        if not hosts:
            raise KeysError("--host is missing: the name or address the nodes find the broker by")
        gateway = issue(authority, f"gateway.{post}", now, hosts=hosts)
        _write(folder / "gateway-key.pem", gateway.key_pem(), is_secret=True)
        _write(folder / "gateway.pem", gateway.certificate_pem())
    for name, place in zip(nodes, places, strict=True):
        place.mkdir(parents=True, mode=0o700)
        write_node(place, authority, issue(authority, name, now))
    return places


def write_node(place: Path, authority: Pair, node: Pair) -> None:
    """Write the three files of a node into the folder `place`."""
    _write(place / "ca.der", authority.certificate_der())
    _write(place / "node.der", node.certificate_der())
    _write(place / "node-key.der", node.key_der(), is_secret=True)


def _authority(folder: Path, post: str, now: dt.datetime) -> Pair:
    certificate_path, key_path = folder / "ca.pem", folder / "ca-key.pem"
    if not certificate_path.exists():
        made = make_authority(f"harmattan {post}", now)
        _write(key_path, made.key_pem(), is_secret=True)
        _write(certificate_path, made.certificate_pem())
        return made
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise KeysError(
            f"{certificate_path}, {key_path}: {error}; put the authority's key back, or use a new"
            " folder, which means new keys for every node"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or (
        key.public_key() != certificate.public_key()
    ):
        raise KeysError(f"{key_path} does not belong to {certificate_path}; put the right one back")
    return Pair(certificate, key)


def _write(path: Path, content: bytes, *, is_secret: bool = False) -> None:
    """Write a new file; only its owner reads a secret."""
    mode = 0o600 if is_secret else 0o644
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def main(arguments: list[str] | None = None) -> int:
    """Make keys; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hardware.keys", description="Make the keys of a post."
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("nodes", nargs="*", metavar="NODE")
    parser.add_argument("--post", required=True, help="name of the post")
    parser.add_argument(
        "--host", action="append", default=[], help="name or address of the broker; may be repeated"
    )
    given = parser.parse_intermixed_args(arguments)
    now = dt.datetime.now(dt.UTC)
    try:
        places = make_post(given.folder, given.post, tuple(given.host), given.nodes, now)
    except (KeysError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program for a terminal
        return 2
    for place in places:
        print(f"{place}: copy to the folder `keys` on that node")  # noqa: T201
    print(f"{given.folder}/ca-key.pem: keep it apart from the post")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
