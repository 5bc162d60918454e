"""Certificates and keys: their day comes years after the last person looked at them."""

import ipaddress
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from gateway.certificates import broker_name, crl_number
from gateway.doctor.finding import Found, Level, UntoldError, bad, check, look, ok, unknown
from gateway.doctor.scene import AHEAD, Scene
from gateway.fleet.revocation import crl_path
from gateway.observe.certificates import newest_of
from gateway.units import DAY_S, named, span

DAYS_LOOK: Final = 60  # to make new ones and carry them to every node, twice over
FILE_BYTES_MAX: Final = 1 << 20  # a bundle of certificates of the whole world has 200 kB
PRIVATE: Final = 0o077  # bits that a key's file must not have
EXPIRED: Final = "expired"
NONE: Final = "the settings name no certificates"


def _pairs(scene: Scene) -> list[tuple[str, str, str]]:
    """Return certificate, key and authority of each listener or client that has them."""
    broker = scene.settings.broker
    pairs = [
        (each.certificate_file, each.key_file, each.ca_file) for each in (broker.nodes, broker)
    ]
    return [pair for pair in pairs if pair[0]]


def _files(scene: Scene) -> list[Path]:
    """Return every file with certificates that the settings name."""
    broker = scene.settings.broker
    names = [broker.nodes.ca_file, broker.nodes.certificate_file]
    names += [broker.ca_file, broker.certificate_file, scene.settings.authority.ca_file]
    return [Path(name) for name in dict.fromkeys(filter(None, names))]


def _node_files(scene: Scene) -> list[Path]:
    """Return the newest certificate of each node of the settings, where it is kept beside ours."""
    authority = scene.settings.broker.nodes.ca_file
    if not authority:
        return []
    paths = [newest_of(node.id, Path(authority)) for node in scene.settings.nodes]
    return [path for path in paths if path is not None]


def read(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a file, PEM or DER.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds none.
    """
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"larger than {FILE_BYTES_MAX} bytes; this is no certificate")
    if path.suffix == ".der":
        return [x509.load_der_x509_certificate(content)]
    return x509.load_pem_x509_certificates(content)


def _needed(path: Path) -> list[x509.Certificate]:
    """Return the certificates in a file that another check has looked at.

    Raises:
        UntoldError: it cannot be read.
    """
    try:
        return read(path)
    except (OSError, ValueError) as error:
        raise UntoldError(
            f"{path.name} cannot be read", "See `certificates.expiry`.", see="certificates.expiry"
        ) from error


def _is_barred(path: Path, scene: Scene) -> bool:
    """Say whether the gateway's user, who owns the post's folder, may not read a file."""
    try:
        found, user = path.stat(), scene.directory.stat()
    except OSError:
        return False  # another check says so
    if user.st_uid == 0:
        return False
    if found.st_uid == user.st_uid:
        return not found.st_mode & stat.S_IRUSR
    if found.st_gid == user.st_gid and found.st_mode & stat.S_IRGRP:
        return False
    return not found.st_mode & stat.S_IROTH


def _label(path: Path) -> str:
    """Return a short name: the node's own certificates all have the same file name."""
    return f"{path.parent.name}/{path.name}" if path.suffix == ".der" else path.name


@check(
    "certificates.expiry",
    cause="Its time has come, or the clock is wrong; no connection is made with it.",
    remedy="Check the clock. Where ca-key.pem is: `harmattan keys DIR --post POST --renew` makes"
    " gateway.pem anew; restart the gateway then. `harmattan keys DIR --post POST NODE` makes a"
    " node's, once DIR/nodes/NODE is removed; carry them to it. A new authority is a new DIR and"
    " new keys for every node. The authority's and an external broker's come from those who run"
    " them.",
)
def expiry(scene: Scene) -> Found | list[Found]:
    """How long each is still valid."""
    paths = [*_files(scene), *_node_files(scene)]
    found = [each for path in paths for each in _expiry(path, scene)]
    unwell = [each for each in found if each.level is not Level.ok]
    if scene.clock_ahead:
        others = [each for each in unwell if not each.value.startswith(EXPIRED)]
        if unwell and not others:
            raise _judged_by_a_wrong_clock()
        unwell = others
    if unwell:
        return unwell
    return min(found, key=lambda each: int(each.value.split()[2])) if found else ok(NONE)


def _judged_by_a_wrong_clock() -> UntoldError:
    return UntoldError(
        "the clock is wrong, by which certificates are judged", f"See `{AHEAD}`.", see=AHEAD
    )


def _expiry(path: Path, scene: Scene) -> Iterator[Found]:
    try:
        certificates = read(path)
    except OSError as error:
        yield bad(
            f"cannot be read: {error.strerror}",
            _label(path),
            cause="It was moved, or is another user's; or the settings name another file.",
            remedy="Put it back, correct its name in the settings, or let the gateway's user read"
            " it (`certificates.modes` says how).",
        )
        return
    except ValueError:
        yield bad(
            "holds no certificate",
            _label(path),
            cause="It was damaged, or another file was put in its place.",
            remedy="Put it back from a copy. Without one: `harmattan keys DIR --post POST --renew"
            " --host ...` makes the broker's anew; a lost authority means a new folder and new"
            " keys for every node.",
        )
        return
    for each in certificates:
        days = (each.not_valid_after_utc - scene.now).total_seconds() / DAY_S
        made = (scene.now - each.not_valid_before_utc).total_seconds()
        dates = f"{each.not_valid_before_utc:%Y-%m-%d} to {each.not_valid_after_utc:%Y-%m-%d}"
        if days < 0:
            yield bad(f"{EXPIRED} {span(-days * DAY_S)} ago", _label(path))
        elif made < 0:
            begins = f"{each.not_valid_before_utc:%Y-%m-%d}"
            clock = f"{scene.now:%Y-%m-%d}"
            yield bad(f"valid only from {begins} on, and the clock says {clock}", _label(path))
        elif days < DAYS_LOOK:
            yield look(f"valid for {days:.0f} d more, {dates}", _label(path))
        else:
            yield ok(f"valid for {days:.0f} d more, {dates}", _label(path))


@check(
    "certificates.key",
    cause="One of the two files is from another run of `harmattan keys`, or was replaced alone.",
    remedy="Put the pair back that was made together, or make both anew: `harmattan keys DIR --post"
    " POST --renew`, with ca-key.pem in DIR for as long as that takes.",
)
def key(scene: Scene) -> Found | list[Found]:
    """Each key belongs to its certificate."""
    barred = [Path(key) for _, key, _ in _pairs(scene) if _is_barred(Path(key), scene)]
    if barred:
        raise UntoldError(
            f"the gateway's user may not read {named([each.name for each in barred])}",
            "See `certificates.modes`.",
            see="certificates.modes",
        )
    found = [_key(Path(certificate), Path(key)) for certificate, key, _ in _pairs(scene)]
    unwell = [each for each in found if each.level is not Level.ok]
    return unwell or (found[0] if found else ok(NONE))


def _key(certificate_path: Path, key_path: Path) -> Found:
    certificate = _needed(certificate_path)[0]
    try:
        content = key_path.read_bytes()[:FILE_BYTES_MAX]
    except PermissionError as error:
        return unknown(f"{error.filename} may not be read by this user", key_path.name)
    except (OSError, ValueError) as error:
        return bad(f"cannot be read: {error}", key_path.name)
    try:
        public = serialization.load_pem_private_key(content, None).public_key()
    except (ValueError, TypeError):  # its text could quote the file
        return bad("is no private key without password", key_path.name)
    if public != certificate.public_key():
        return bad(f"does not belong to {certificate_path.name}", key_path.name)
    return ok(f"belongs to {certificate_path.name}", key_path.name)


@check(
    "certificates.chain",
    cause="Certificate and `ca_file` are of different authorities, so that nodes refuse the"
    " broker.",
    remedy="Name the `ca.pem` that signed the certificate; nodes have the same one as ca.der. Where"
    " it was overwritten, put it back.",
)
def chain(scene: Scene) -> Found | list[Found]:
    """Each certificate, the nodes' too, is signed by the authority that the settings name."""
    pairs = [(Path(certificate), Path(authority)) for certificate, _, authority in _pairs(scene)]
    if scene.settings.broker.nodes.ca_file:
        authority = Path(scene.settings.broker.nodes.ca_file)
        pairs += [(each, authority) for each in _node_files(scene)]
    found = [_chain(*pair) for pair in pairs]
    unwell = [each for each in found if each.level is not Level.ok]
    return unwell or (found[0] if found else ok(NONE))


def _chain(path: Path, authority_path: Path) -> Found:
    certificate, authorities = _needed(path)[0], _needed(authority_path)
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return ok(f"signed by {authority_path.name}", _label(path))
    return bad(f"is not signed by {authority_path.name}", _label(path))


@check(
    "certificates.host",
    cause="The certificate was made for another name or address than the one nodes connect to.",
    remedy="Make gateway.pem again: `harmattan keys DIR --post POST --renew`, with a --host for"
    " each name and address that stands in a node.json; then restart the gateway.",
)
def host(scene: Scene) -> Found:
    """The broker's certificate is for the post's name, and for the address nodes connect to."""
    listener = scene.settings.broker.nodes
    if not listener.certificate_file:
        return ok(NONE)
    if not listener.host:
        return ok("nodes elsewhere have no listener")
    certificate = _needed(Path(listener.certificate_file))[0]
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return bad("names no host at all")
    addresses = names.get_values_for_type(x509.IPAddress)
    hosts = names.get_values_for_type(x509.DNSName)
    told = named([*map(str, addresses), *hosts])
    address = ipaddress.ip_address(listener.host)
    if not address.is_unspecified and address not in addresses:
        return bad(f"is for {told}, not for {listener.host}")
    always = broker_name(scene.settings.post)
    if always not in hosts:
        return bad(f"is for {told}, not for {always}, by which nodes may go")
    return ok(f"is for {told}")


@check(
    "certificates.modes",
    cause="The files were copied or made with other rights.",
    remedy="`chmod 600` each key and give it to the user of the gateway.",
)
def modes(scene: Scene) -> Found | list[Found]:
    """No key can be read by other users, and all that is needed by the gateway's."""
    keys = [Path(key) for _, key, _ in _pairs(scene)]
    for _, _, authority in _pairs(scene):
        keys.append(Path(authority).with_name("ca-key.pem"))
        keys += sorted((Path(authority).parent / "nodes").glob("*/node-key.der"))
    there = [each for each in dict.fromkeys(keys) if each.exists()]
    open_ones = [each for each in there if each.stat().st_mode & PRIVATE]
    if open_ones:
        return [
            bad(f"mode {each.stat().st_mode & 0o777:o}: other users can read it", _label(each))
            for each in open_ones
        ]
    barred = [each for each in _used(scene) if _is_barred(each, scene)]
    if barred:
        return [_told_barred(each, _user(scene.directory)) for each in barred]
    return ok(f"{len(there)} keys, their owner's alone" if there else NONE)


def _told_barred(path: Path, user: str) -> Found:
    """Return what is wrong with a file that the gateway's user cannot read."""
    owner = _user(path)
    if owner == user:
        mode = path.stat().st_mode & 0o777
        return bad(
            f"mode {mode:03o}: its owner, the gateway's user {user}, cannot read it",
            _label(path),
            cause="Its rights were taken away.",
            remedy=f"`chmod 600 {path}` as {user}, or as root.",
        )
    return bad(
        f"is {owner}'s: the gateway's user, {user}, cannot read it",
        _label(path),
        cause="It was made or copied by another user, such as root; the gateway runs as the"
        " owner of the post's folder.",
        remedy=f"As root: `chown {user}: {path}`; with a key, `chmod 600` it too.",
    )


def _used(scene: Scene) -> list[Path]:
    """Return the files that the gateway and its broker read."""
    listed = crl_path(scene.settings.broker.nodes)
    keys = [Path(key) for _, key, _ in _pairs(scene)]
    return list(dict.fromkeys([*keys, *_files(scene), *([listed] if listed else [])]))


def _user(path: Path) -> str:
    """Return whose a file is: the name, or the number where it has none."""
    owner = path.stat().st_uid
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


@check(
    "certificates.revocations",
    cause="The list of revoked certificates is missing or damaged, or was not renewed; the broker"
    " takes no node by an old one.",
    remedy="`harmattan nodes crl` writes it anew with a later day; it revokes and admits no node."
    " The authority's key, where it is kept elsewhere: `--authority-key FILE`.",
)
def revocations(scene: Scene) -> Found:
    """The list of revoked certificates is of this authority, and not too old."""
    authority_file = scene.settings.broker.nodes.ca_file
    path = crl_path(scene.settings.broker.nodes)
    if path is None or not authority_file:
        return ok(NONE)
    if not path.exists():
        is_named = bool(scene.settings.broker.nodes.crl_file)
        return bad("is missing", path.name) if is_named else ok("no certificate is revoked")
    try:
        revoked = x509.load_pem_x509_crl(path.read_bytes()[:FILE_BYTES_MAX])
    except ValueError:
        return bad("is no revocation list", path.name)
    except PermissionError as error:
        raise UntoldError(
            f"{path.name} may not be read", "See `certificates.modes`.", see="certificates.modes"
        ) from error
    authority = _needed(Path(authority_file))[0]
    if not revoked.is_signature_valid(authority.public_key()):  # type: ignore[arg-type]
        return bad(f"is not signed by {Path(authority_file).name}", path.name)
    count = sum(1 for _ in revoked)
    text = f"{count} revoked, list number {crl_number(revoked)}"
    until = revoked.next_update_utc
    if until is None:
        return ok(text, path.name)
    days = (until - scene.now).total_seconds() / DAY_S
    if days < 0:
        if scene.clock_ahead:
            raise _judged_by_a_wrong_clock()
        return bad(f"expired on {until:%Y-%m-%d}: {text}", path.name)
    if days < DAYS_LOOK:
        return look(f"valid for {days:.0f} d more: {text}", path.name)
    return ok(text, path.name)
