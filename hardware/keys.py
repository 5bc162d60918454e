"""Keys and certificates of a post: one authority, one for the broker, one for each node.

    harmattan keys DIR --post POST --host NAME_OR_ADDRESS NODE [NODE ...]

(or `python -m hardware.keys`) writes, and never overwrites,

    DIR/ca-key.pem                   the authority's key: keep it apart, whoever has it is any node
    DIR/ca.pem, gateway.pem, gateway-key.pem, crl.pem   for [broker.nodes] of the gateway's settings
    DIR/nodes/NODE/ca.der, node.der, node-key.der    to be copied into `keys` on that node
    DIR/issued/                      the nodes' certificates, for `harmattan nodes revoke`

Run again with more nodes, it adds them under the same authority; `harmattan init` makes such a
folder too. Besides every HOST the broker's certificate is for gateway.POST, which no new address
changes. The node's name is its certificate's common name, which is what the broker's access list
goes by.
"""

import argparse
import datetime as dt
import sys
from pathlib import Path

from gateway import certificates
from gateway.certificates import Pair, issue, make_authority, write_node
from gateway.errors import KeysError
from protocol import topics
from protocol.errors import TopicError

__all__ = ["KeysError", "Pair", "issue", "main", "make_authority", "make_post", "write_node"]


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
    for host in hosts:
        certificates.check_host(host)
    for place in (folder / "nodes" / name for name in nodes):
        if place.exists():
            raise KeysError(f"{place} exists; remove it if this node is to have new keys")
    folder.mkdir(parents=True, exist_ok=True)
    authority = _authority(folder, post, now)
    if not (folder / certificates.GATEWAY).exists():
        if not hosts:
            raise KeysError("--host is missing: the name or address the nodes find the broker by")
        always = certificates.broker_name(post)
        gateway = issue(authority, always, now, hosts=tuple(dict.fromkeys((always, *hosts))))
        certificates.write_gateway(folder, gateway)
    return [certificates.add_node(folder, authority, name, now) for name in nodes]


def _authority(folder: Path, post: str, now: dt.datetime) -> Pair:
    certificate_path, key_path = folder / certificates.CA, folder / certificates.CA_KEY
    if not certificate_path.exists():
        made = make_authority(f"harmattan {post}", now)
        certificates.write_authority(folder, made, now)
        return made
    try:
        return certificates.load_pair(certificate_path, key_path)
    except KeysError as error:
        raise KeysError(
            f"{error}; put the authority's key back, or use a new folder, which means new keys for"
            " every node"
        ) from error


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
    given = parser.parse_intermixed_args(arguments)
    now = certificates.made_on(dt.datetime.now(dt.UTC))
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
