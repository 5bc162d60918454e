"""What our own broker asks of programs on this machine, where nodes have a listener of their own.

Without it any local program could speak on loopback as any node. The password is drawn anew at each
start of the broker. The broker is given its hash; the file with the password itself is readable by
the gateway's user alone, for the gateway and its commands.
"""

import base64
import contextlib
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import BrokerError
from gateway.ingest import spare
from gateway.settings import Settings

SECRET_NAME: Final = "broker.secret"  # noqa: S105 - a file in the post's folder; 0600
HASHED_NAME: Final = "mosquitto.passwords"
USER: Final = "gateway"
SECRET_BYTES: Final = 32  # beyond any guessing, so that the hash may be read by anybody
SECRET_BYTES_MAX: Final = 4_096  # of the file
SALT_BYTES: Final = 12  # mosquitto takes no other length
ITERATIONS: Final = (
    101  # mosquitto's own; slowness would protect a guessable password, this is none
)


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A user of the broker with its password, which is never shown."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Secret({self.user!r}, ...)"


def make(folder: Path, hashed_mode: int = 0o600) -> tuple[Secret, Path]:
    """Draw a new secret and write both files; where nothing takes them the old one stays.

    Args:
        folder: of the post.
        hashed_mode: of the broker's file, who may run as another user.

    Returns:
        The secret, and the broker's file.

    Raises:
        BrokerError: there is no old one either.
    """
    secret = Secret(USER, secrets.token_urlsafe(SECRET_BYTES))
    hashed, plain = folder / HASHED_NAME, folder / SECRET_NAME
    try:
        hashed = spare.write(hashed, f"{secret.user}:{_hash(secret.password)}\n", hashed_mode)
    except OSError as error:
        kept = read(folder)
        if kept is None or not hashed.exists():
            raise BrokerError(
                f"broker password {hashed}: {error.strerror}; free space on its disk, or give this"
                " user the right to write there"
            ) from error
        return kept, hashed
    # Without it the gateway itself still knows; its commands say that they are refused.
    with contextlib.suppress(OSError):
        spare.write(plain, msgspec.json.encode((secret.user, secret.password)).decode(), 0o600)
    return secret, hashed


def read(folder: Path) -> Secret | None:
    """Return the secret in force, None when there is none or this user may not read it."""
    plain = folder / SECRET_NAME
    for path in (spare.beside(plain), plain) if spare.is_trusted(plain) else (plain,):
        with contextlib.suppress(OSError, msgspec.DecodeError), path.open("rb") as file:
            return Secret(*msgspec.json.decode(file.read(SECRET_BYTES_MAX), type=tuple[str, str]))
    return None


def of_post(settings: Settings) -> Secret | None:
    """Return what a program of this machine needs to speak to the post's broker."""
    return read(Path(settings.directory)) if is_asked(settings) else None


def is_asked(settings: Settings) -> bool:
    """Say whether our own broker asks for a password on loopback."""
    return not settings.broker.external and bool(settings.broker.nodes.host)


def _hash(password: str) -> str:
    """Return a password as mosquitto keeps it: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    encoded = (base64.b64encode(part).decode() for part in (salt, digest))
    return "$".join(("", "7", str(ITERATIONS), *encoded))
