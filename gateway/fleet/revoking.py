"""What a technician does about a node: revoke it, admit it again, give it a label.

Rules of the file
- Nothing here touches the journal or the running gateway: files are written, it reads them.
- A revocation is in force when `nodes.toml` is written. Whatever else fails is told, and done when
  the command is given again.
"""

import datetime as dt
import difflib
from collections.abc import Collection, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from gateway import certificates
from gateway.certificates import Pair
from gateway.errors import KeysError, SettingsError
from gateway.fleet import nodes_file
from gateway.fleet.nodes_file import Entry
from gateway.fleet.revocation import crl_path
from gateway.settings import Settings
from protocol import topics
from protocol.errors import TopicError

NEAR_MAX: Final = 3  # names that are offered for a wrong one


_EXTERNAL: Final = (
    "the broker is not the post's own: bar this node's certificate there too. The gateway refuses"
    " what comes in its name"
)
_UNKNOWN: Final = (
    "no certificate of this node is known here, so the broker still lets it connect; give the"
    " command again with --certificate FILE (its node.der). The gateway refuses what comes in its"
    " name"
)
_UNSIGNED: Final = (
    "the authority's key is kept elsewhere, so the broker's list could not be signed and the broker"
    " still lets the node connect; give the command again with --authority-key FILE. The gateway"
    " refuses what comes in its name"
)


class Crl(StrEnum):
    """What the broker's list of revoked certificates says after a command."""

    signed = "signed"  # what it should
    unsigned = "unsigned"  # not yet; the authority's key is kept elsewhere
    unknown = "unknown"  # no certificate of the node is known
    none = "none"  # nodes have no certificates here
    external = "external"  # the broker is not ours


class Done(msgspec.Struct, frozen=True):
    """What came of a command.

    Attributes:
        node: its id.
        label: of it now.
        revoked: since when; None: it is admitted.
        serials: of its certificates that are never accepted again.
        crl: of the broker.
        left: what is left to do, a sentence each; empty when all is done.
    """

    node: str
    label: str
    revoked: dt.datetime | None
    serials: tuple[str, ...]
    crl: Crl
    left: tuple[str, ...] = ()


def find(settings: Settings, name: str, others: Iterable[str] = ()) -> str:
    """Return the id of a node of the settings, of one that was revoked, or of `others`.

    Raises:
        SettingsError: there is none; near ones are named.
    """
    entries = nodes_file.read(Path(settings.directory)).nodes
    ids = dict.fromkeys((*(node.id for node in settings.nodes), *entries, *others))
    if name in ids:
        return name
    labelled = [node for node, entry in entries.items() if entry.label == name]
    near = labelled or difflib.get_close_matches(name, ids, n=NEAR_MAX)
    if near:
        raise SettingsError(f"node {name[:40]!r} is not known; did you mean {' or '.join(near)}?")
    known = ", ".join(sorted(ids)[:20]) or "none"
    more = f" and {len(ids) - 20} more" if len(ids) > 20 else ""
    raise SettingsError(f"node {name[:40]!r} is not known; known are: {known}{more}")


def _find_with_keys(settings: Settings, name: str, lost: Collection[Path]) -> str:
    """Return the id of a node of `find`, or of one that has keys; its name alone will do then.

    It may have been stolen before it was in the settings, or be in them no more.

    Raises:
        SettingsError: there is no such node and no certificate of it.
    """
    ca_file = settings.broker.nodes.ca_file
    have_keys = certificates.nodes_issued(Path(ca_file).parent) if ca_file else frozenset[str]()
    # Whether the files in `lost` are of this node is looked at later.
    others = [each for each in (*sorted(have_keys), *([name] if lost else [])) if _is_name(each)]
    try:
        return find(settings, name, others)
    except SettingsError as error:
        if not ca_file:
            raise
        raise SettingsError(
            f"{error}. A node whose certificate is not kept here: with --certificate FILE"
        ) from error


def _is_name(text: str) -> bool:
    """Say whether a node may be called that; files in a folder may be called anything."""
    try:
        topics.check_name(text)
    except TopicError:
        return False
    return True


def rename(settings: Settings, name: str, label: str) -> Done:
    """Give a node a label, or take it away with an empty one; its id stays what it is.

    Raises:
        SettingsError: there is no such node, the label will not do, or it cannot be kept.
    """
    node, label = find(settings, name), label.strip()
    if len(label) > nodes_file.LABEL_CHARS_MAX or not label.isprintable():
        raise SettingsError(
            f"label {label[:80]!r}: use at most {nodes_file.LABEL_CHARS_MAX} printable characters"
        )
    with nodes_file.changing(Path(settings.directory)) as entries:
        if label != node and label in {*(each.id for each in settings.nodes), *entries}:
            raise SettingsError(
                f"label {label!r} is another node's id: one would be taken for the other; choose"
                " another label"
            )
        entry = msgspec.structs.replace(entries.get(node, Entry()), label=label)
        entries[node] = entry
    return Done(node, label, entry.revoked, entry.serials, Crl.none)


def revoke(
    settings: Settings,
    name: str,
    now: dt.datetime,
    *,
    authority_key: Path | None = None,
    lost: Collection[Path] = (),
) -> Done:
    """Refuse a node from now on, and its certificates for ever.

    Args:
        settings: of the post.
        name: of the node; it need not be in the settings when it has keys.
        now: when.
        authority_key: where the authority's key is; None: beside its certificate.
        lost: certificates of the node besides those that are known here.

    Raises:
        SettingsError: there is no such node, or it cannot be kept that it is revoked.
        KeysError: a file that was named is no certificate of this node.
    """
    node = _find_with_keys(settings, name, lost)
    authority = _authority(settings, authority_key)
    known, unread = _serials(settings, node, lost)
    serials = {f"{serial:x}" for serial in known}
    with nodes_file.changing(Path(settings.directory)) as entries:
        before = entries.get(node, Entry())
        kept = tuple(dict.fromkeys((*before.serials, *sorted(serials))))
        if len(kept) > nodes_file.SERIALS_MAX:
            raise SettingsError(
                f"node {node!r} has more than {nodes_file.SERIALS_MAX} certificates; remove those"
                " that have expired from the authority's folder `issued`"
            )
        since = before.revoked or now.replace(microsecond=0)
        entry = msgspec.structs.replace(before, revoked=since, serials=kept)
        entries[node] = entry
    with nodes_file.locked(Path(settings.directory)):  # or another command's list would be lost
        crl, left = _sign(settings, authority, entry.serials, now)
    left += tuple(f"{text}, and give the command again" for text in unread)
    return Done(node, entry.label, since, entry.serials, crl, left)


def restore(
    settings: Settings,
    name: str,
    now: dt.datetime,
    *,
    same_keys: bool,
    authority_key: Path | None = None,
) -> Done:
    """Admit a node again: with new keys, or with the old ones when nobody else had them.

    Raises:
        SettingsError: it is not revoked, or whoever has its old keys could speak as this node.
        KeysError: the list of revoked certificates has to be signed, and cannot be.
    """
    node = find(settings, name)
    path = crl_path(settings.broker.nodes)
    has_keys = path is not None and not settings.broker.external
    with nodes_file.changing(Path(settings.directory)) as entries:  # the broker's list, too
        before = entries.get(node, Entry())
        if before.revoked is None:
            raise SettingsError(f"node {node!r} is not revoked; nothing is changed")
        listed = _listed(path) if has_keys else {}
        open_serials = [serial for serial in before.serials if int(serial, 16) not in listed]
        if has_keys and not same_keys and (open_serials or not before.serials):
            raise SettingsError(
                f"node {node!r}: its old certificate is not on the list {path}, so whoever has its"
                f" keys would speak as this node; first `harmattan nodes revoke {node}"
                " --authority-key FILE`, or give --same-keys when nobody else had them"
            )
        authority = _authority(settings, authority_key)
        is_listed = len(open_serials) < len(before.serials)
        if same_keys and has_keys and is_listed and authority is None:
            raise KeysError(
                f"{path} bars the old keys of {node!r} and has to be signed anew; give the"
                " authority's key by --authority-key FILE, or make new keys and leave --same-keys"
                " out"
            )
        if same_keys and path is not None and authority is not None:  # before the door opens
            kept = {k: v for k, v in listed.items() if f"{k:x}" not in before.serials}
            certificates.write_crl(path, authority, kept, now)
        serials = () if same_keys else before.serials
        entry = msgspec.structs.replace(before, revoked=None, serials=serials)
        entries[node] = entry
    left = () if same_keys or not has_keys else (_new_keys(settings, node),)
    return Done(node, entry.label, None, entry.serials, Crl.signed if has_keys else Crl.none, left)


def renew(settings: Settings, now: dt.datetime, *, authority_key: Path | None = None) -> int:
    """Write the broker's list of revoked certificates anew; return how many are on it.

    No node is revoked or admitted: on the list is what was there, as far as it can be read, every
    certificate that `nodes.toml` bars, and what is known of the nodes that are revoked now.

    Raises:
        SettingsError: nodes have no certificates here, or `nodes.toml` cannot be read.
        KeysError: the authority's key is not at hand, or is not the authority's.
        OSError: it cannot be written; the old one is as it was.
    """
    path = crl_path(settings.broker.nodes)
    if path is None or settings.broker.external:
        raise SettingsError("the post's broker takes no certificates, so it needs no list of them")
    authority = _authority(settings, authority_key)
    if authority is None:
        raise KeysError(
            "the authority's key is kept elsewhere, so the list cannot be signed; give it by"
            " --authority-key FILE"
        )
    with nodes_file.locked(Path(settings.directory)):
        try:
            listed = _listed(path)
        except KeysError:  # damaged
            path.unlink()
            listed = {}
        wanted: set[int] = set()
        for node, entry in nodes_file.read(Path(settings.directory)).nodes.items():
            wanted |= {int(serial, 16) for serial in entry.serials}
            if entry.revoked is not None:
                wanted |= _serials(settings, node, ())[0]
        listed = dict.fromkeys(wanted, now) | listed
        certificates.write_crl(path, authority, listed, now)
    return len(listed)


def _new_keys(settings: Settings, node: str) -> str:
    folder = Path(settings.broker.nodes.ca_file).parent
    return (
        f"give it new keys: `harmattan keys {folder} --post {settings.post} {node}` makes"
        f" them once {folder}/nodes/{node} is moved away"
    )


def _authority(settings: Settings, key: Path | None) -> Pair | None:
    """Return the authority with its key, None where it is not at hand.

    Raises:
        KeysError: a key was named, or lies there, and is not the authority's.
    """
    nodes = settings.broker.nodes
    if not nodes.ca_file:
        return None
    path = key or Path(nodes.ca_file).with_name(certificates.CA_KEY)
    if key is None and not path.exists():
        return None
    return certificates.load_pair(Path(nodes.ca_file), path)


def _serials(settings: Settings, node: str, lost: Iterable[Path]) -> tuple[set[int], list[str]]:
    """Return the serial numbers of a node's certificates, known here or `lost`, and what is unread.

    Raises:
        KeysError: one of `lost` is no certificate of this node.
    """
    ca_file = settings.broker.nodes.ca_file
    found, unread = certificates.issued_to(Path(ca_file).parent, node) if ca_file else ([], [])
    for path in lost:
        certificate = certificates.load_certificate(path)
        named = certificates.common_name(certificate)
        if named != node:
            raise KeysError(f"{path} is the certificate of {named!r}, not of {node!r}")
        found.append(certificate)
    return {certificate.serial_number for certificate in found}, unread


def _listed(path: Path | None) -> dict[int, dt.datetime]:
    """Return what a list of revoked certificates says; nothing where there is none.

    Raises:
        KeysError: the file is no such list.
    """
    if path is None or not path.exists():
        return {}
    return {one.serial_number: one.revocation_date_utc for one in certificates.load_crl(path)}


def _sign(
    settings: Settings, authority: Pair | None, serials: tuple[str, ...], now: dt.datetime
) -> tuple[Crl, tuple[str, ...]]:
    """Sign the broker's list anew, with all that it said before; say what is left to do."""
    path = crl_path(settings.broker.nodes)
    if settings.broker.external:
        return Crl.external, (_EXTERNAL,)
    if path is None:
        return Crl.none, ()
    try:
        listed = _listed(path)
    except KeysError as error:
        if authority is None:
            return Crl.unsigned, (str(error),)
        path.unlink()
        listed = {}
    entries = nodes_file.read(Path(settings.directory)).nodes.values()
    wanted = {int(serial, 16) for entry in entries for serial in entry.serials}
    if authority is not None and not wanted <= listed.keys():
        listed = dict.fromkeys(wanted, now) | listed
        try:
            certificates.write_crl(path, authority, listed, now)
        except OSError as error:
            text = f"{path}: {error.strerror}; free space on its disk, or run this as the gateway's"
            return Crl.unsigned, (f"{text} user, and give the command again",)
    if not serials:
        return Crl.unknown, (_UNKNOWN,)
    if not {int(serial, 16) for serial in serials} <= listed.keys():
        return Crl.unsigned, (_UNSIGNED,)
    return Crl.signed, ()
