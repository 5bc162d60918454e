"""Certificates of a node, and in words why a TLS connection failed.

Three DER files lie in DIR/keys, put there by the person who installs the node: `ca.der`,
`node.der`, `node-key.der` (`harmattan keys` makes them). They are read anew for each
connection, so better ones count without a restart, and a node whose keys are bad measures all the
same. While they are the same, what mbedTLS made of them is kept: it takes 3 kB in one piece, which
a heap long in use may not have.
"""

import gc
from hashlib import sha256

import tls

from node.der import common_name
from node.errors import CredentialsRefused
from node.signals import ascii_text
from protocol.limits import NAME_CHARS_MAX

if False:  # for the type checker: nothing of it is compiled
    from node.typed import Any

_FILE_BYTES_MAX = 2_048  # a certificate of EC P-256 has 400 to 700 bytes, a key 121
_FATAL_ALERT = -30592  # mbedTLS: the other side ended the handshake
_NAMES = ("ca.der", "node.der", "node-key.der")
_REMEDY = "make the keys again (harmattan keys) and copy them to the node"
_CAUSES = (  # a part of mbedTLS's text, what it means
    ("Common Name", "broker's certificate is for another name than %s; correct broker.name"),
    ("trusted CA", "broker's certificate is not signed by keys/ca.der; copy this post's ca.der"),
    ("has expired", "broker's certificate has expired; renew it, or correct this node's clock"),
    ("starts in the future", "broker's certificate is not valid yet; correct this node's clock"),
)
_kept: "list[Any]" = [b"", None]  # digest of the files, and the credentials made of them


class Credentials:
    """What a node shows and trusts; DER each.

    Args:
        ca: certificate of the authority that signed the broker's.
        certificate, key: of this node; empty where it has none.

    Raises:
        CredentialsRefused: one of them is no certificate or key.
    """

    def __init__(self, ca: bytes, certificate: bytes, key: bytes) -> None:
        self._has_certificate = bool(certificate)
        self._context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        self._context.verify_mode = tls.CERT_REQUIRED  # type: ignore[attr-defined]  # not in the stub
        try:
            self._context.load_verify_locations(ca)
        except (ValueError, OSError) as error:
            raise CredentialsRefused("keys/ca.der cannot be used (%s); %s" % (error, _REMEDY))
        if not certificate:
            return
        try:
            self._context.load_cert_chain(certificate, key)
        except (ValueError, OSError) as error:
            raise CredentialsRefused(
                "keys/node.der, keys/node-key.der cannot be used (%s); %s" % (error, _REMEDY)
            )

    def wrap(self, socket: "Any", name: str) -> "Any":
        """Return the socket with TLS on it; the handshake begins with the first bytes.

        Args:
            socket: connected, non-blocking.
            name: the broker's certificate must be for it.
        """
        gc.collect()  # the buffers of a handshake are large
        return self._context.wrap_socket(
            socket, server_hostname=name, do_handshake_on_connect=False
        )

    def explain(self, error: Exception, name: str) -> "CredentialsRefused | None":
        """Return why a connection that was not yet accepted failed, None: not for the keys.

        Args:
            error: of the socket.
            name: that the broker's certificate must be for.
        """
        if isinstance(error, ValueError):
            text = str(error).strip()
            for part, meaning in _CAUSES:
                if part in text:
                    text = meaning % name if "%s" in meaning else meaning
                    break
            return CredentialsRefused(text)
        if not error.args or error.args[0] != _FATAL_ALERT:
            return None
        if not self._has_certificate:
            return CredentialsRefused(
                "broker asks for a certificate and this node has none: keys/node.der and "
                "keys/node-key.der are missing; " + _REMEDY
            )
        return CredentialsRefused(
            "broker refuses this node's certificate: it has expired or was revoked, another post "
            "signed it, or keys/node-key.der belongs to another one; " + _REMEDY
        )


def load(folder: str, node: str) -> Credentials:
    """Read the files in `folder`; a node without certificate of its own is possible.

    The broker knows a node by its certificate. It takes what a node says under another's name, and
    drops it without a word.

    Args:
        folder: where they lie.
        node: its name.

    Raises:
        CredentialsRefused: a file is missing, too long, not whole DER, or for another node.
    """
    ca, certificate, key = [_read(folder + "/" + name) for name in _NAMES]
    if not ca:
        raise CredentialsRefused("keys/ca.der is missing; " + _REMEDY)
    if bool(certificate) != bool(key):
        missing = _NAMES[1] if key else _NAMES[2]
        raise CredentialsRefused(
            "keys/%s is missing beside its counterpart; %s" % (missing, _REMEDY)
        )
    named = common_name(certificate)
    if named and named != node:
        raise CredentialsRefused(
            "keys/node.der is the certificate of %s, and this node is %s; copy the keys of %s"
            % (ascii_text(named, NAME_CHARS_MAX), node, node)
        )
    digest = sha256(ca)
    digest.update(certificate)
    digest.update(key)
    digest = digest.digest()
    if _kept[0] != digest:
        _kept[0], _kept[1] = b"", None  # the old ones go first: there is no room for two
        gc.collect()
        _kept[1] = Credentials(ca, certificate, key)
        _kept[0] = digest
    return _kept[1]  # type: ignore[no-any-return]


def _read(path: str) -> bytes:
    """Return the bytes of a file, none where there is no file."""
    name = path.rsplit("/", 1)[-1]
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)  # read() takes as much of the heap as it is asked for
            file.seek(0)
            content = file.read(min(size, _FILE_BYTES_MAX + 1))
    except OSError as error:
        if error.args[0] == 2:  # ENOENT
            return b""
        raise CredentialsRefused("keys/%s cannot be read (%s); check the flash" % (name, error))
    if len(content) > _FILE_BYTES_MAX:
        raise CredentialsRefused(
            "keys/%s has more than %d bytes; EC P-256 needs less than half. %s"
            % (name, _FILE_BYTES_MAX, _REMEDY)
        )
    if _der_bytes(content) != len(content):
        # mbedTLS takes PEM on some boards only, and takes some of what was cut short.
        raise CredentialsRefused("keys/%s is not one whole DER file; %s" % (name, _REMEDY))
    return content


def _der_bytes(content: bytes) -> int:
    """Return how long the outermost DER sequence says it is, head included; 0: it is none."""
    if len(content) < 4 or content[0] != 0x30:
        return 0
    if content[1] < 0x80:
        return 2 + content[1]
    if content[1] == 0x81:
        return 3 + content[2]
    return 4 + (content[2] << 8 | content[3]) if content[1] == 0x82 else 0
