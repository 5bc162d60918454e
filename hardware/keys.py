"""Keys and certificates of a post: one authority, one for the broker, one for each node.

    harmattan keys DIR --post POST --host NAME_OR_ADDRESS NODE [NODE ...]

(or `python -m hardware.keys`) writes, and without `--renew` never overwrites,

    DIR/ca-key.pem                   the authority's key: keep it apart, whoever has it is any node
    DIR/ca.pem, gateway.pem, gateway-key.pem, crl.pem   for [broker.nodes] of the gateway's settings
    DIR/nodes/NODE/ca.der, node.der, node-key.der    to be copied into `keys` on that node
    DIR/issued/                      the nodes' certificates, for `harmattan nodes revoke`

Run again with more nodes, it adds them under the same authority; `harmattan init` makes such a
folder too. Besides every HOST the broker's certificate is for gateway.POST, which no new address
changes. `--renew` makes it anew, for every HOST given or else for the names it had; a key that is
whole stays, so that one file changes, whole or not at all. The node's name is its certificate's
common name, which is what the broker's access list goes by.
"""

import argparse
import datetime as dt
import ipaddress
import sys
from pathlib import Path

from gateway import certificates
from gateway.certificates import Pair, issue, make_authority, write_node
from gateway.errors import KeysError
from gateway.files import SECRET, write_whole
from protocol import topics
from protocol.errors import TopicError

# What an authority's folder holds besides its certificate.
_OF_AUTHORITY = (
    *(certificates.CA_KEY, certificates.CRL, certificates.GATEWAY, certificates.GATEWAY_KEY),
    *(certificates.ISSUED, "nodes"),
)
_OURS = "harmattan "  # begins the authority's name, before the post's
_ANEW = "use a new folder, which means new keys for every node"

__all__ = ["KeysError", "Pair", "issue", "main", "make_authority", "make_post", "write_node"]


def make_post(
    folder: Path,
    post: str,
    hosts: tuple[str, ...],
    nodes: list[str],
    now: dt.datetime,
    *,
    renew: bool = False,
) -> list[Path]:
    """Make what is missing in `folder`; return the folders of the nodes that were added.

    Args:
        folder: of the authority.
        post: its name.
        hosts: what the nodes find the broker by, besides its own name.
        nodes: that get keys.
        now: when this is.
        renew: make the broker's certificate anew, too.

    Raises:
        KeysError: a name will not do, a node has keys already, the broker's certificate stays and
            is not for one of `hosts`, or what is there is not ours, not whole, or another post's.
    """
    for name in (post, *nodes):
        try:
            topics.check_name(name)
        except TopicError as error:
            raise KeysError(str(error)) from error
    for host in hosts:
        certificates.check_host(host)
    for place in (folder / "nodes" / name for name in nodes):
        if place.exists():
            raise KeysError(f"{place} exists; remove it if this node is to have new keys")
    _check_stays(folder / certificates.GATEWAY, hosts, renew=renew)
    folder.mkdir(parents=True, exist_ok=True)
    authority = _authority(folder, post, now)
    if renew or not (folder / certificates.GATEWAY).exists():
        _write_broker(folder, authority, post, hosts, now)
    return [certificates.add_node(folder, authority, name, now) for name in nodes]


def _check_stays(path: Path, hosts: tuple[str, ...], *, renew: bool) -> None:
    """Insist that a certificate of the broker that stays is for every host that was given."""
    if renew or not hosts or not path.exists():
        return
    known = certificates.hosts_of(certificates.load_certificate(path))
    folded = {host.lower() for host in known}
    others = [host for host in hosts if _spelt(host) not in folded]
    if others:
        raise KeysError(
            f"{path} is for {', '.join(known) or 'no host'}, not for {', '.join(others)}; --renew"
            " makes it anew, for every --host given with it"
        )


def _spelt(host: str) -> str:
    """Return an address or a name in the one spelling by which it is compared."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def _write_broker(
    folder: Path, authority: Pair, post: str, hosts: tuple[str, ...], now: dt.datetime
) -> None:
    """Write the broker's certificate; its key, where it is whole, stays."""
    certificate_path, key_path = folder / certificates.GATEWAY, folder / certificates.GATEWAY_KEY
    key = None
    if certificate_path.exists():
        try:
            key = certificates.load_pair(certificate_path, key_path).key
        except KeysError:  # damaged, or of two pairs
            key = None
        if not hosts:
            try:
                hosts = certificates.hosts_of(certificates.load_certificate(certificate_path))
            except KeysError as error:
                raise KeysError(f"{error}; or give every --host it was for") from error
    if not hosts:
        raise KeysError("--host is missing: the name or address the nodes find the broker by")
    always = certificates.broker_name(post)
    names = tuple(dict.fromkeys((always, *hosts)))
    gateway = issue(authority, always, now, hosts=names, key=key)
    if key is None:
        write_whole(key_path, gateway.key_pem(), mode=SECRET)
    write_whole(certificate_path, gateway.certificate_pem())


def _authority(folder: Path, post: str, now: dt.datetime) -> Pair:
    certificate_path, key_path = folder / certificates.CA, folder / certificates.CA_KEY
    if not certificate_path.exists():
        _check_begins(folder)
        made = make_authority(_OURS + post, now)
        certificates.write_authority(folder, made, now)
        return made
    try:
        found = certificates.load_pair(certificate_path, key_path)
    except KeysError as error:
        raise KeysError(f"{error}; put the authority's key back, or {_ANEW}") from error
    named = certificates.common_name(found.certificate)
    if named.startswith(_OURS) and named != _OURS + post:
        raise KeysError(
            f"--post {post}: {certificate_path} is the authority of {named.removeprefix(_OURS)};"
            f" give that post's name, or {_ANEW}"
        )
    return found


def _check_begins(folder: Path) -> None:
    """Insist that a folder without an authority has nothing of one.

    A new one would lock out every node of the old, and forget whom that had revoked.
    """
    left = [folder / name for name in _OF_AUTHORITY if (folder / name).exists()]
    if left:
        raise KeysError(
            f"{folder / certificates.CA} is missing, and {left[0].name} is there: put back ca.pem,"
            f" and ca-key.pem beside it for as long as this takes, or {_ANEW}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Make keys; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="harmattan keys",
        description="Make the keys of a post. Run it as the user of the gateway.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("nodes", nargs="*", metavar="NODE")
    parser.add_argument("--post", required=True, help="name of the post")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        help="name or address of the broker besides gateway.POST; may be repeated",
    )
    parser.add_argument(
        "--renew",
        action="store_true",
        help="make the broker's certificate anew, for every --host given, or the names it had",
    )
    given = parser.parse_intermixed_args(arguments)
    now = certificates.made_on(dt.datetime.now(dt.UTC))
    broker = given.folder / certificates.GATEWAY
    is_old = broker.exists() and not given.renew
    try:
        places = make_post(
            given.folder, given.post, tuple(given.host), given.nodes, now, renew=given.renew
        )
        ends = certificates.load_certificate(broker).not_valid_after_utc
    except (KeysError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a program for a terminal
        return 2
    for place in places:
        print(f"{place}: copy to the folder `keys` on that node")  # noqa: T201
    state = "is as it was; --renew makes it anew" if is_old else "new; restart the gateway"
    print(f"{broker}: valid until {ends:%Y-%m-%d}, {state}")  # noqa: T201
    print(f"{given.folder}/ca-key.pem: keep it apart from the post")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
