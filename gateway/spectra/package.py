"""A library package: specimens and new substances, with a version and a signature. Pure.

    manifest.json             what it is, and the SHA-256 of every other file
    signature.json            Ed25519 over the manifest's bytes, and who signed
    specimens/ID.csv          one measured spectrum each (gateway/spectra/specimen.py)
    substances.csv            substances that the shipped tables do not have

The signature covers the manifest, the manifest covers the files, and the archive has one form only
(gateway/spectra/stored_zip.py): there is no byte that could change unnoticed. docs/library.md is
the specification.

Reference: S. Josefsson, I. Liusvaara, Edwards-Curve Digital Signature Algorithm (EdDSA), RFC 8032.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.spectra.errors import PackageError, SpecimenError, UntrustedError
from gateway.spectra.specimen import Specimen, check_date, read_specimen, write_specimen
from gateway.spectra.stored_zip import read_zip, write_zip

FORMAT = "harmattan library package"
FORMAT_VERSION = 1
ALGORITHM: Final = "Ed25519"
SUFFIX = ".hlp"

MANIFEST, SIGNATURE, SUBSTANCES = "manifest.json", "signature.json", "substances.csv"
SPECIMENS = "specimens/"

CONTEXT = b"harmattan library package, manifest, version 1\0"
"""Signed before the manifest: a signature of another purpose with the same key is none of ours."""

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
SUBSTANCES_BYTES_MAX = 4 * 1024 * 1024
"""Twenty thousand lines of about 200 bytes."""

SIGNATURE_BYTES_MAX = 1_024
KEY_ID_CHARS = 32
"""128 bits of the digest of a public key: nobody finds another key with the same id."""

KEY_BYTES_MAX = 4_096
OWN, SHIPPED = "own", "shipped"
RESERVED = (OWN, SHIPPED)
"""Origins of what was imported at the post, and of what the program brings."""

PACKAGE_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
VERSION_PARTS_MAX = 4
VERSION = re.compile(r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){0,3}")

Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]+$", max_length=128)]
Text = Annotated[str, msgspec.Meta(max_length=300)]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a package is.

    Attributes:
        format: always FORMAT.
        format_version: of this layout; a reader refuses what it does not know.
        package_id: its name, the same from version to version: `national-library`.
        version: up to four numbers with dots; the greater replaces the smaller.
        title: for people.
        issuer: who answers for it.
        licence: under which it may be handed on.
        made_on: ISO date.
        files: name -> SHA-256 of every other file but the signature.
    """

    format: str
    format_version: int
    package_id: str
    version: str
    title: Text
    issuer: Text
    licence: Text
    made_on: str
    files: dict[str, Hex]


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signed the manifest, and the signature.

    Attributes:
        algorithm: always ALGORITHM.
        key_id: of the public key, `key_id_of`.
        signature: 64 bytes as hexadecimal digits.
    """

    algorithm: Literal["Ed25519"]
    key_id: Hex
    signature: Hex


Form = TypeVar("Form", Manifest, Signature)


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """A package taken apart and checked.

    Attributes:
        manifest: what it is.
        signature: who signed it; None when nobody did.
        specimens: by id.
        substances: CSV text of new substances, empty when there are none.
        digest: SHA-256 of its bytes.
    """

    manifest: Manifest
    signature: Signature | None
    specimens: tuple[Specimen, ...]
    substances: str
    digest: str

    @property
    def label(self) -> str:
        """Name, version and digest, as it stands in a library's version."""
        return f"{self.manifest.package_id}.{self.manifest.version}-{self.digest[:8]}"


def make_package(
    manifest: Manifest,
    specimens: Iterable[Specimen],
    substances: str = "",
    key: Ed25519PrivateKey | None = None,
) -> bytes:
    """A package's bytes: the same contents and key give the same bytes (RFC 8032 draws nothing).

    Args:
        manifest: its `files` are filled in here.
        specimens: distinct.
        substances: CSV text of new substances; empty = none.
        key: to sign with; None = unsigned, which no post installs.

    Raises:
        PackageError: something cannot be used; names it.
    """
    contents = {
        f"{SPECIMENS}{specimen.specimen_id}.csv": write_specimen(specimen).encode()
        for specimen in specimens
    }
    if substances:
        contents[SUBSTANCES] = substances.encode()
    if not contents:
        raise PackageError("package would be empty; give specimens or substances")
    listed = msgspec.structs.replace(manifest, files=_digests(contents))
    _check_manifest(listed)
    contents[MANIFEST] = _encode(listed)
    if key is not None:
        signature = Signature(
            ALGORITHM, key_id_of(key.public_key()), key.sign(CONTEXT + contents[MANIFEST]).hex()
        )
        contents[SIGNATURE] = _encode(signature)
    return write_zip(contents)


def read_package(
    content: bytes,
    trusted: Mapping[str, Ed25519PublicKey] | None = None,
    known: Container[str] = (),
) -> Package:
    """Take a package apart; every byte of it is accounted for.

    Args:
        content: the whole file.
        trusted: key id -> public key: one of them must have signed it, and the specimens are looked
            at only then. None = whoever made it, to look at it only.
        known: SHA-256 of specimens' files that were read before and found to be in their form.

    Raises:
        PackageError: it is malformed, does not fit its own manifest, or is not signed by a trusted
            key; names the file or the key.
    """
    contents = read_zip(content)
    manifest_bytes = contents.pop(MANIFEST, None)
    if manifest_bytes is None:
        raise PackageError(f"package has no {MANIFEST}; make it with `harmattan library export`")
    manifest = _decode(MANIFEST, manifest_bytes, Manifest, MANIFEST_BYTES_MAX)
    signature_bytes = contents.pop(SIGNATURE, None)
    signature = None
    if signature_bytes is not None:
        signature = _decode(SIGNATURE, signature_bytes, Signature, SIGNATURE_BYTES_MAX)
    _check_manifest(manifest)
    if manifest.files != _digests(contents):
        odd = min(set(manifest.files.items()) ^ set(_digests(contents).items()))[0]
        raise PackageError(f"package file {odd!r} does not fit the manifest; copy it again")
    if trusted is not None:
        check_signature(manifest, signature, trusted)
    substances = contents.pop(SUBSTANCES, b"")
    if len(substances) > SUBSTANCES_BYTES_MAX:
        raise PackageError(f"package's {SUBSTANCES} is larger than {SUBSTANCES_BYTES_MAX} bytes")
    return Package(
        manifest,
        signature,
        tuple(
            _specimen(name, body, is_known=manifest.files[name] in known)
            for name, body in contents.items()
        ),
        _text(SUBSTANCES, substances),
        hashlib.sha256(content).hexdigest(),
    )


def check_signature(
    manifest: Manifest, signature: Signature | None, trusted: Mapping[str, Ed25519PublicKey]
) -> str:
    """Insist that a trusted key has signed a manifest; return the key's id.

    Args:
        manifest: as read.
        signature: as read; None = unsigned.
        trusted: key id -> public key.

    Raises:
        PackageError: unsigned, signed by a stranger, or the signature is wrong.
    """
    name = f"package {manifest.package_id} {manifest.version}"
    if signature is None:
        raise PackageError(f"{name} is not signed; ask its issuer for a signed one")
    key = trusted.get(signature.key_id)
    if key is None:
        raise UntrustedError(
            f"{name} is signed with key {signature.key_id}, which this post does not trust; "
            "compare it with the issuer's and `harmattan library trust` it, or refuse the package",
            signature.key_id,
        )
    try:
        key.verify(bytes.fromhex(signature.signature), CONTEXT + _encode(manifest))
    except (InvalidSignature, ValueError):
        raise PackageError(
            f"{name} does not fit its signature by key {signature.key_id}; it was changed after it "
            "was signed: do not use it, and tell its issuer"
        ) from None
    return signature.key_id


def version_order(version: str) -> tuple[int, ...]:
    """A version as a value that sorts: 1.10 after 1.9, and 1.0 equal to 1."""
    numbers = [int(part) for part in version.split(".")]
    return tuple(numbers + [0] * (VERSION_PARTS_MAX - len(numbers)))


# --------------------------------------------------------------------------------------------- keys


def key_id_of(key: Ed25519PublicKey) -> str:
    """Name of a public key: 128 bits of the SHA-256 of its 32 bytes, as hexadecimal digits."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:KEY_ID_CHARS]


def write_public_key(key: Ed25519PublicKey) -> bytes:
    """A public key as PEM, which openssl reads too."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def read_public_key(name: str, content: bytes) -> Ed25519PublicKey:
    """Read a public key from PEM.

    Raises:
        PackageError: it is no Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(content[:KEY_BYTES_MAX])
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise PackageError(f"{name} is no Ed25519 public key in PEM form; give the .pub file")
    return key


def write_private_key(key: Ed25519PrivateKey, passphrase: bytes = b"") -> bytes:
    """A private key as PKCS #8 PEM, encrypted when there is a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def read_private_key(name: str, content: bytes, passphrase: bytes = b"") -> Ed25519PrivateKey:
    """Read a private key from PKCS #8 PEM.

    Raises:
        PackageError: it is none, or the passphrase does not open it.
    """
    try:
        key = serialization.load_pem_private_key(content[:KEY_BYTES_MAX], passphrase or None)
    except (ValueError, TypeError):
        raise PackageError(
            f"{name} is no private key, or its passphrase is missing or wrong; "
            "make keys with `harmattan library key`"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PackageError(f"{name} is no Ed25519 key; make keys with `harmattan library key`")
    return key


# ------------------------------------------------------------------------------------------- pieces


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(contents[name]).hexdigest() for name in sorted(contents)}


def _encode(value: Manifest | Signature) -> bytes:
    """The one JSON form: keys in order, a line each, so that two manifests can be compared."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n"


def _decode(name: str, content: bytes, form: type[Form], bytes_max: int) -> Form:
    if len(content) > bytes_max:
        raise PackageError(f"package's {name} is larger than {bytes_max} bytes")
    try:
        found = msgspec.json.decode(content, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"package's {name}: {error}; it was not made by this program") from None
    if _encode(found) != content:
        raise PackageError(f"package's {name} is not in the form it is written in")
    return found


def _check_manifest(manifest: Manifest) -> None:
    """Raise PackageError for a manifest this program does not understand."""
    if manifest.format != FORMAT:
        raise PackageError(f"package is a {manifest.format[:60]!r}, not a {FORMAT!r}")
    if manifest.format_version != FORMAT_VERSION:
        raise PackageError(
            f"package has format version {manifest.format_version}, this program knows "
            f"{FORMAT_VERSION}; update the gateway"
        )
    if not PACKAGE_ID.fullmatch(manifest.package_id):
        raise PackageError(
            f"package id {manifest.package_id[:60]!r} is not 1 to 40 of a-z, 0-9 and -"
        )
    if manifest.package_id in RESERVED:
        raise PackageError(
            f"package id {manifest.package_id!r} is reserved: `harmattan library list --origin` has"
            " a meaning for it; choose another"
        )
    if not VERSION.fullmatch(manifest.version):
        raise PackageError(
            f"package version {manifest.version[:40]!r} is not one to four numbers with dots; "
            "write it like 2026.11.1"
        )
    for key in ("title", "issuer", "licence"):
        value = getattr(manifest, key)
        if not value.strip() or not value.isprintable():
            raise PackageError(f"package's {key} {value[:60]!r} is empty or not one line; say it")
    try:
        check_date("made_on", manifest.made_on)
    except SpecimenError as error:
        raise PackageError(f"package: {error}") from None


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise PackageError(f"package file {name!r} is not UTF-8 text") from None


def _specimen(name: str, content: bytes, *, is_known: bool) -> Specimen:
    """A specimen from its file, whose name must be its id."""
    if not name.startswith(SPECIMENS) or not name.endswith(".csv"):
        raise PackageError(f"package holds {name!r}, which this program does not know")
    try:
        specimen = read_specimen(name, _text(name, content), is_known=is_known)
    except SpecimenError as error:
        raise PackageError(f"package: {error}") from None
    if name != f"{SPECIMENS}{specimen.specimen_id}.csv":
        raise PackageError(f"package file {name!r} holds the specimen {specimen.specimen_id}")
    return specimen
