"""Look at a post before it runs: settings, modes, certificates, database, people, broker.

Each fault is one sentence with its remedy. Nothing in the post's folder is changed.
"""

import asyncio
import datetime as dt
import ipaddress
import logging
import os
import socket
import ssl
import stat
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from gateway import certificates, people, settings
from gateway.certificates import Pair
from gateway.errors import BrokerError, GatewayError, JournalError, KeysError, SettingsError
from gateway.fleet import nodes_file
from gateway.fleet.revocation import broker_lines, crl_path
from gateway.ingest.broker import Broker, find_program, hint_of_root
from gateway.ingest.secret import SECRET_NAME
from gateway.journal.opening import FILE_NAME as JOURNAL_NAME
from gateway.journal.opening import look_at, shut
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.settings import Settings
from gateway.settings_faults import SettingError
from gateway.starting.init import SETTINGS_NAME

SOON_DAYS: Final = 60  # to renew a certificate before a technician comes by chance
BROKER_S_MAX: Final = 15.0  # to start and to shake hands once
OTHERS: Final = 0o077  # whatever group and others may do


class Found(msgspec.Struct, frozen=True):
    """One thing to say.

    Attributes:
        subject: settings, modes, certificates, database, people, nodes or broker.
        text: one sentence: thing, value, remedy.
        is_fault: it has to be mended; else it is advice.
    """

    subject: str
    text: str
    is_fault: bool = True


class Report(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    folder: str
    checked: tuple[str, ...]
    found: tuple[Found, ...]

    @property
    def is_well(self) -> bool:
        """Say whether the post can run as it is."""
        return not any(found.is_fault for found in self.found)


def check(folder: Path, now: dt.datetime) -> Report:
    """Look at the post in `folder`.

    Args:
        folder: of the post.
        now: to judge dates by.

    Raises:
        SettingsError: there is no post.
    """
    path = folder / SETTINGS_NAME
    if not path.exists():
        raise SettingsError(
            f"{path} does not exist, so {folder} is no post; `harmattan init {folder}` makes one"
        )
    try:
        loaded = settings.load(path)
        _check_standards(loaded, path)
    except SettingsError as error:
        return Report(str(folder), ("settings",), (Found("settings", str(error)),))
    subjects: dict[str, Callable[[], Iterator[Found]]] = {
        "modes": lambda: check_modes(folder, loaded),
        "certificates": lambda: check_certificates(loaded, now),
        "database": lambda: check_database(loaded),
        "people": lambda: check_people(loaded),
        "nodes": lambda: check_nodes(loaded),
        "broker": lambda: check_broker(loaded),
    }
    found = [one for look in subjects.values() for one in look()]
    return Report(str(folder), ("settings", *subjects), tuple(found))


def _check_standards(loaded: Settings, path: Path) -> None:
    from gateway.post import check_standards  # noqa: PLC0415 - numpy; see gateway/cli.py

    try:
        check_standards(loaded)
    except SettingError as error:
        raise settings.place(path, error) from error


# ------------------------------------------------------------------------------------- modes


def check_modes(folder: Path, loaded: Settings) -> Iterator[Found]:
    """Look at who may read what."""
    directory = Path(loaded.directory)
    for place in dict.fromkeys((folder, directory)):
        if place.is_dir() and _mode(place) & 0o022:
            yield Found(
                "modes",
                f"{place} can be written by others (mode {_mode(place):04o}); chmod 0700 {place}",
            )
    nodes = loaded.broker.nodes
    named = [Path(name) for name in (nodes.key_file, loaded.broker.key_file) if name]
    keys = [Path(nodes.ca_file).with_name(certificates.CA_KEY)] if nodes.ca_file else []
    own = [directory / name for name in (people.FILE_NAME, JOURNAL_NAME, SECRET_NAME)]
    for path in dict.fromkeys((*named, *keys, *own)):
        if path.exists() and _mode(path) & OTHERS:
            yield Found(
                "modes",
                f"{path} can be read by others (mode {_mode(path):04o}); chmod 0600 {path}",
            )
        if path.exists() and not os.access(path, os.R_OK):
            yield Found("modes", f"{path} may not be read by this user; chown it to the gateway's")
    if keys and keys[0].exists():
        yield Found(
            "modes",
            f"{keys[0]} makes any node: keep it apart from the post, and give it to `harmattan"
            " nodes revoke --authority-key` when it is needed",
            is_fault=False,
        )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ------------------------------------------------------------------------------ certificates


def check_certificates(loaded: Settings, now: dt.datetime) -> Iterator[Found]:
    """Look at authority, broker's certificate and key, and the list of revoked ones."""
    nodes, external = loaded.broker.nodes, loaded.broker
    if loaded.authority.ca_file:
        yield from _readable("authority.ca_file", Path(loaded.authority.ca_file))
    files = nodes if nodes.ca_file else external
    if not files.ca_file:
        return
    try:
        authority = certificates.load_certificate(Path(files.ca_file))
        pair = certificates.load_pair(Path(files.certificate_file), Path(files.key_file))
    except KeysError as error:
        yield Found("certificates", str(error))
        return
    yield from _check_chain(Path(files.certificate_file), pair.certificate, authority)
    for path, certificate in (
        (files.ca_file, authority),
        (files.certificate_file, pair.certificate),
    ):
        yield from _check_dates(Path(path), certificate, now)
    if nodes.ca_file:
        yield from _check_names(loaded, pair.certificate)
        yield from _check_authority_key(Path(nodes.ca_file))
        yield from _check_crl(loaded, authority, pair, now)


def _readable(setting: str, path: Path) -> Iterator[Found]:
    try:
        certificates.load_certificate(path)
    except KeysError as error:
        yield Found("certificates", f"{setting}: {error}")


def _check_chain(
    path: Path, certificate: x509.Certificate, authority: x509.Certificate
) -> Iterator[Found]:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        yield Found(
            "certificates",
            f"{path} is not signed by the authority beside it; put the files of one post together,"
            " or make it again with `harmattan keys`",
        )


def _check_dates(path: Path, certificate: x509.Certificate, now: dt.datetime) -> Iterator[Found]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    renew = "move it and its key away and run `harmattan keys` on their folder"
    if now < begins:
        yield Found(
            "certificates",
            f"{path} is valid from {begins:%Y-%m-%d} on, and this computer's clock says"
            f" {now:%Y-%m-%d}; set the clock",
        )
    elif now > ends:
        yield Found("certificates", f"{path} has expired on {ends:%Y-%m-%d}; {renew}")
    elif now > ends - dt.timedelta(days=SOON_DAYS):
        yield Found("certificates", f"{path} expires on {ends:%Y-%m-%d}; {renew}", is_fault=False)


def _check_names(loaded: Settings, certificate: x509.Certificate) -> Iterator[Found]:
    """Look whether nodes that go by the address they connect to accept the broker."""
    host = loaded.broker.nodes.host
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield Found(
            "certificates",
            f"{loaded.broker.nodes.certificate_file} names no host, so no node accepts it; make it"
            " again with `harmattan keys DIR --host ...`",
        )
        return
    address = ipaddress.ip_address(host) if host else None
    known = names.get_values_for_type(x509.IPAddress)
    if address is not None and not address.is_unspecified and address not in known:
        told = ", ".join(map(str, (*names.get_values_for_type(x509.DNSName), *known)))
        yield Found(
            "certificates",
            f"{loaded.broker.nodes.certificate_file} is not for broker.nodes.host = {host!r}; nodes"
            f" must name the broker {told} (broker.name in node.json), or make it again for this"
            " address",
            is_fault=False,
        )


def _check_authority_key(ca_path: Path) -> Iterator[Found]:
    key_path = ca_path.with_name(certificates.CA_KEY)
    if key_path.exists():
        try:
            certificates.load_pair(ca_path, key_path)
        except KeysError as error:
            yield Found("certificates", str(error))


def _check_crl(
    loaded: Settings, authority: x509.Certificate, gateway: Pair, now: dt.datetime
) -> Iterator[Found]:
    path = crl_path(loaded.broker.nodes)
    if path is None or not broker_lines(loaded.broker):
        yield Found(
            "certificates",
            f"{path} does not exist, so the broker knows no revoked certificate; `harmattan nodes"
            " crl` makes it",
            is_fault=False,
        )
        return
    try:
        crl = certificates.load_crl(path)
    except KeysError as error:
        yield Found("certificates", str(error))
        return
    again = "`harmattan nodes crl` with the authority's key at hand writes it anew"
    key = authority.public_key()
    if crl.issuer != authority.subject or not crl.is_signature_valid(key):  # type: ignore[arg-type]
        yield Found("certificates", f"{path} is not signed by this post's authority; {again}")
    begins, ends = crl.last_update_utc, crl.next_update_utc
    if now < begins or (ends is not None and now > ends):
        told = f"{begins:%Y-%m-%d}" + (f" to {ends:%Y-%m-%d}" if ends else " on")
        yield Found(
            "certificates",
            f"{path} is valid from {told} and this computer's clock says {now:%Y-%m-%d}, so no node"
            f" can connect; set the clock, or {again}",
        )
    serial = gateway.certificate.serial_number
    if crl.get_revoked_certificate_by_serial_number(serial) is not None:
        yield Found(
            "certificates",
            f"{path} revokes the broker's own certificate; make a new one with `harmattan keys`",
        )


# ------------------------------------------------------------------ database, people, nodes


def check_database(loaded: Settings) -> Iterator[Found]:
    """Look whether the journal can be opened by this gateway."""
    path = Path(loaded.directory) / JOURNAL_NAME
    if not path.exists():
        yield Found(
            "database", f"{path} does not exist; `harmattan run` makes a new one", is_fault=False
        )
        return
    try:
        shut(look_at(path))
    except JournalError as error:
        yield Found("database", str(error), is_fault="start the gateway once" not in str(error))


def check_people(loaded: Settings) -> Iterator[Found]:
    """Look whether somebody may administer the post."""
    directory = Path(loaded.directory)
    if not (directory / people.FILE_NAME).exists():
        yield Found(
            "people",
            f"{directory / people.FILE_NAME} does not exist, so nobody administers this post;"
            " put it back from a copy",
            is_fault=False,
        )
        return
    try:
        known = people.load(directory)
    except SettingsError as error:
        yield Found("people", str(error))
        return
    if not any(person.role is people.Role.administrator for person in known):
        yield Found(
            "people",
            f"{directory / people.FILE_NAME} names no administrator; put it back from a copy",
        )


def check_nodes(loaded: Settings) -> Iterator[Found]:
    """Look at what people have said of the nodes."""
    try:
        kept = nodes_file.read(Path(loaded.directory))
    except SettingsError as error:
        yield Found("nodes", str(error))
        return
    if not loaded.nodes:
        yield Found(
            "nodes",
            "the settings name no node, so nothing is measured here; add [[nodes]] for each",
            is_fault=False,
        )
    for name in sorted(kept.revoked - {node.id for node in loaded.nodes}):
        yield Found(
            "nodes",
            f"node {name!r} is revoked and not in the settings, which is right if it is gone",
            is_fault=False,
        )


# ------------------------------------------------------------------------------------ broker


def check_broker(loaded: Settings) -> Iterator[Found]:
    """Start the broker with the real files on free ports of loopback, and connect to it once."""
    if loaded.broker.external:
        yield Found(
            "broker",
            f"the broker at {loaded.broker.host}:{loaded.broker.port} is external and was not"
            " asked; `harmattan run` says whether it answers",
            is_fault=False,
        )
        return
    complaints: list[str] = []
    try:
        find_program(loaded.broker.program)
        with tempfile.TemporaryDirectory(prefix="harmattan-check-") as place:
            if os.geteuid() == 0:  # what is tried is whether `nobody` may read the post's files
                Path(place).chmod(0o755)
            asyncio.run(_try_broker(loaded, Path(place), _collecting(complaints)))
    except (GatewayError, OSError) as error:
        told = str(error).removesuffix("; it is started again")
        before = "".join(f"; {text}" for text in dict.fromkeys(complaints) if text not in told)
        hint = hint_of_root(loaded.broker)
        yield Found("broker", f"{told}{before}{hint if hint not in told else ''}")


def _collecting(complaints: list[str]) -> Log:
    """Return a log that keeps what the broker complains of."""

    def take(_: object, __: str, line: MutableMapping[str, Any]) -> NoReturn:
        if line.get("event") == "broker_log":
            complaints.append(str(line["text"]))
        raise structlog.DropEvent

    log: Log = structlog.wrap_logger(
        structlog.ReturnLogger(),
        processors=[take],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    return log


async def _try_broker(loaded: Settings, place: Path, log: Log) -> None:
    """Run the broker until it has answered.

    Raises:
        BrokerError: it does not start, or its certificate is not what nodes accept.
    """
    nodes = loaded.broker.nodes
    tried = msgspec.structs.replace(
        loaded.broker,
        host="127.0.0.1",
        port=_free_port(),
        nodes=msgspec.structs.replace(
            nodes, host="127.0.0.1" if nodes.host else "", port=_free_port()
        ),
    )
    broker = Broker(
        tried,
        place,
        counters=Counters(),
        log=log,
        post=loaded.post,
        nodes_count=len(loaded.nodes),
        node_lines=lambda: broker_lines(loaded.broker),
    )
    running = asyncio.create_task(broker.run(), name="broker")
    ready = asyncio.create_task(broker.ready.wait(), name="ready")
    try:
        async with asyncio.timeout(BROKER_S_MAX):
            await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            if nodes.host:
                try:
                    await _shake_hands(tried.nodes)
                except OSError:  # it takes connections before it has read all its files
                    await running
    except TimeoutError:
        raise BrokerError(
            f"broker program {tried.program!r} does not answer within {BROKER_S_MAX:g} s; is this"
            " computer overloaded?"
        ) from None
    finally:
        ready.cancel()
        running.cancel()
        await asyncio.gather(running, ready, return_exceptions=True)


async def _shake_hands(nodes: settings.NodeListenerSettings) -> None:
    """Connect as far as a node without a certificate comes: it knows the broker by then.

    Raises:
        BrokerError: a node would not accept the broker.
    """
    context = ssl.create_default_context(cafile=nodes.ca_file)
    context.check_hostname = False  # by which name nodes go is in their own settings
    try:
        _, writer = await asyncio.open_connection(nodes.host, nodes.port, ssl=context)
        writer.close()
    except ssl.SSLCertVerificationError as error:
        raise BrokerError(
            f"nodes would refuse the broker's certificate: {error.verify_message}; look at its"
            f" dates and at {nodes.ca_file}"
        ) from error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
