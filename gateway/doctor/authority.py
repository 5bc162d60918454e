"""Whether the authority can be reached: a connection and a handshake, and not one byte more."""

import datetime as dt
import socket
import ssl
import urllib.parse
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from gateway.settings import AuthoritySettings

CONNECT_S_MAX: Final = 5.0  # a satellite link answers within two seconds; somebody is waiting


@dataclass(frozen=True, slots=True)
class Contact:
    """What came of the connection.

    Attributes:
        fault: why there is none; empty when there is.
        is_refused_certificate: it was reached, but its certificate is not accepted.
        until: its certificate is valid until then; None without one.
    """

    fault: str = ""
    is_refused_certificate: bool = False
    until: dt.datetime | None = None


def contact(settings: AuthoritySettings) -> Contact:
    """Connect to the authority, look at its certificate, and close.

    Args:
        settings: with a url.
    """
    url = urllib.parse.urlsplit(settings.url)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    wait_s = min(settings.timeout_s, CONNECT_S_MAX)
    try:
        with socket.create_connection((host, port), timeout=wait_s) as plain:
            if url.scheme != "https":
                return Contact()
            context = ssl.create_default_context(cafile=settings.ca_file or None)
            with context.wrap_socket(plain, server_hostname=host) as secure:
                shown = secure.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        return Contact(error.verify_message, is_refused_certificate=True)
    except TimeoutError:
        return Contact(f"no answer within {wait_s:g} s")
    except (OSError, ValueError) as error:
        return Contact(str(error) or type(error).__name__)
    if not shown:
        return Contact()
    return Contact(until=x509.load_der_x509_certificate(shown).not_valid_after_utc)
