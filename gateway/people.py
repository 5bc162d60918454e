"""Who may do what at the post's console: `people.json` in the post's folder.

A password is kept as its scrypt hash only; whoever reads the file cannot become anybody.
"""

import hashlib
import hmac
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec

from gateway.errors import SettingsError

FILE_NAME: Final = "people.json"
BYTES_MAX: Final = 1 << 20
PEOPLE_MAX: Final = 1_000
NAME_CHARS_MAX: Final = 64
PASSWORD_CHARS_MAX: Final = 256  # a longer one is no password, and costs time to hash
# RFC 7914: 32 MiB and about 0.1 s on a small computer for each guess.
SCRYPT_N: Final = 1 << 15
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
# Read aloud and typed without mistaking one sign for another: no 0, 1, l, o.
LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
GROUPS: Final = 5
GROUP_CHARS: Final = 4  # 5 x 4 x 5 bits = 100 bits: nobody guesses it, whatever the hash


class Role(StrEnum):
    """What a person may do."""

    administrator = "administrator"
    technician = "technician"
    officer = "officer"


class Hash(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A password's scrypt hash with what it was made by; salt and digest are hexadecimal."""

    salt: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32,128}$")]
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64,128}$")]
    n: Annotated[int, msgspec.Meta(ge=2, le=1 << 20)]
    r: Annotated[int, msgspec.Meta(ge=1, le=32)]
    p: Annotated[int, msgspec.Meta(ge=1, le=16)]


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may use the console."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    role: Role
    password: Hash


class People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    people: Annotated[tuple[Person, ...], msgspec.Meta(max_length=PEOPLE_MAX)]


def draw_password() -> str:
    """Return a new password that can be read aloud."""
    groups = ("".join(secrets.choice(LETTERS) for _ in range(GROUP_CHARS)) for _ in range(GROUPS))
    return "-".join(groups)


def make_hash(password: str) -> Hash:
    """Return what is kept of a password."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _digest(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P, HASH_BYTES)
    return Hash(salt.hex(), digest.hex(), SCRYPT_N, SCRYPT_R, SCRYPT_P)


def is_password(password: str, kept: Hash) -> bool:
    """Say whether `password` is the one that was kept, in a time that does not tell how nearly."""
    if len(password) > PASSWORD_CHARS_MAX:
        return False
    wanted = bytes.fromhex(kept.digest)
    found = _digest(password, bytes.fromhex(kept.salt), kept.n, kept.r, kept.p, len(wanted))
    return hmac.compare_digest(found, wanted)


def _digest(password: str, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    memory = 128 * n * r + 128 * r * p + (1 << 20)  # what OpenSSL needs, and a little more
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=length)


def encode(people: tuple[Person, ...]) -> bytes:
    """Return the file's content."""
    return msgspec.json.format(msgspec.json.encode(People(people)), indent=2) + b"\n"


def load(directory: Path) -> tuple[Person, ...]:
    """Return the people of a post.

    Raises:
        SettingsError: the file cannot be read, or is not one of ours.
    """
    path = directory / FILE_NAME
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
        if len(content) > BYTES_MAX:
            raise SettingsError(f"{path}: larger than {BYTES_MAX} bytes; this is another file")
        return msgspec.json.decode(content, type=People).people
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; put it back from a copy, or run this as the gateway's user"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}; put it back from a copy") from error
