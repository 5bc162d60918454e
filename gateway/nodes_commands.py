"""`harmattan nodes`: who speaks at this post, how each one is, and who may not any more.

Rules of the file
- Standard output carries results (with --json nothing else); what is left to do is told there too.
- Exit status: 0 done, 1 something is left to do, 2 it could not be done.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import settings
from gateway.errors import SettingsError
from gateway.fleet import revoking
from gateway.fleet.revocation import crl_path
from gateway.fleet.revoking import Crl, Done
from gateway.lock import check_folder, is_running
from gateway.observe import nodes as observing
from gateway.observe.condition import COLUMNS, cells
from gateway.observe.nodes import Config, Detail
from gateway.settings import Settings
from gateway.units import age

app = typer.Typer(
    help="The nodes: list and show them, give them labels, revoke them.", no_args_is_help=True
)

EXIT_LEFT = 1
HEALTHS_SHOWN = 12  # an hour at one every five minutes

SettingsOption = Annotated[
    Path, typer.Option("--settings", "-s", help="The post's TOML file.", readable=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of tables.")]
NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="Its id.")]
KeyOption = Annotated[
    Path | None,
    typer.Option("--authority-key", help="The authority's ca-key.pem, where it is kept elsewhere."),
]
DEFAULT = Path("post.toml")


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """Let a file that cannot be used be a sentence.

    Raises:
        SettingsError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"{error.filename or 'a file of the post'}: {error.strerror or error}; run this as the"
            " user of the gateway, and see that its disk is well"
        ) from error


def _write(found: object) -> None:
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


def _read(loaded: Settings, names: tuple[str, ...] | None, healths: int = 0) -> list[Detail]:
    check_folder(Path(loaded.directory))
    return observing.read_all(
        loaded,
        names,
        running=is_running(Path(loaded.directory)),
        now_ms=time.time_ns() // 1_000_000,
        healths=healths,
    )


@app.command("list")
def list_nodes(settings_path: SettingsOption = DEFAULT, as_json: JsonOption = False) -> None:  # noqa: FBT002
    """List the nodes: state, last heard, firmware, config, calibration, losses."""
    found = _read(settings.load(settings_path), None)
    if as_json:
        _write(found)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("node", "label", "state", "heard", "firmware", "config", "axis set", "lost"):
        table.add_column(column)
    now_ms = time.time_ns() // 1_000_000
    for one in found:
        table.add_row(
            one.state.node,
            Text(one.state.label or "-"),
            _coloured(one.state.state),
            _ago(one.state.seen_ms, now_ms),
            Text(one.firmware or "-"),
            one.config.state,
            one.state.calibration,
            str(one.losses.get("record_lost", 0)),
        )
    console = Console()
    console.print(table)
    if not found:
        console.print("the settings name no node; add [[nodes]]", markup=False)


@app.command()
def show(
    node: NodeArgument,
    settings_path: SettingsOption = DEFAULT,
    healths: Annotated[
        int, typer.Option(min=1, max=2_016, help="How many of the last healths to show.")
    ] = HEALTHS_SHOWN,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Show all that is known of one node, with how it was over the last healths."""
    loaded = settings.load(settings_path)
    (found,) = _read(loaded, (revoking.find(loaded, node),), healths)
    if as_json:
        _write(found)
        return
    _show(found, loaded, Console())


def _show(one: Detail, loaded: Settings, console: Console) -> None:
    state, now_ms = one.state, time.time_ns() // 1_000_000
    wanted = next((node for node in loaded.nodes if node.id == state.node), None)
    calibration = state.calibration
    if state.calibration_age_s is not None:
        calibration += (
            f", {state.calibration_text}, {state.calibration_age_s / 86_400:.1f} days ago"
        )
    lines: dict[str, str | Text] = {
        "state": _coloured(state.state),
        "heard": _ago(state.seen_ms, now_ms),
        "firmware": f"{one.firmware} on {one.board}" if one.firmware else "-",
        "instrument": state.instrument or "-",
        "fault": state.fault or "none",
        "config": _told(one.config),
        "calibration": calibration,
        "intensities": state.response,
        "records": str(state.records),
        "losses": ", ".join(f"{name} {count}" for name, count in one.losses.items()) or "none",
        "evicted there": str(state.evicted_count),
    }
    if one.revoked:
        lines["revoked"] = one.revoked
    if wanted is not None:
        exposure = f"{wanted.integration_ms} ms x {wanted.scans}"
        if wanted.exposure == "automatic":
            exposure = "as the signal asks for"
        lines["measures"] = f"{exposure}, health every {wanted.health_s} s"
    for serial, until in one.certificates.items():
        lines[f"certificate {serial[:12]}"] = until if until == "revoked" else f"until {until}"
    console.print(Text(f"{state.node}  {state.label}".rstrip(), style="bold"))
    for name, value in lines.items():
        shown = Text(f"  {name:<26}")
        shown.append(value if isinstance(value, Text) else Text(value))
        console.print(shown, soft_wrap=True)
    if not one.healths:
        console.print("  no health has come yet")
        return
    console.print("healths, the newest first")
    for moment in one.healths:
        row = zip(COLUMNS[1:], cells(state.node, moment.condition)[1:], strict=True)
        told = ", ".join(f"{column} {cell}" for column, cell in row)
        fault = f", fault {moment.fault}" if moment.fault else ""
        line = f"  {_ago(moment.received_ms, now_ms):>10}: {told}{fault}"
        console.print(Text(line), soft_wrap=True)


def _told(config: Config) -> str:
    """Return in words how far a config has come."""
    match config.state:
        case "confirmed":
            return f"version {config.sent}, confirmed"
        case "none":
            return "none was sent yet"
        case "refused":
            return (
                f"version {config.sent} is not in force: the node keeps {config.kept}; its fault or"
                " its log says why. It is sent again as a new version at the next start"
            )
        case _:
            kept = "none" if config.kept is None else f"{config.kept}"
            return f"version {config.sent} is sent and not confirmed yet; in force is {kept}"


def _coloured(state: str) -> Text:
    style = {"online": "green", "offline": "red", "revoked": "dim"}.get(state, "yellow")
    return Text(state, style=style)


def _ago(then_ms: int | None, now_ms: int) -> str:
    return "-" if then_ms is None else age(then_ms, now_ms)


# ----------------------------------------------------------------------------- what is changed


@app.command()
def revoke(
    node: NodeArgument,
    settings_path: SettingsOption = DEFAULT,
    authority_key: KeyOption = None,
    certificate: Annotated[
        list[Path] | None,
        typer.Option(help="A certificate of this node that is not kept beside the authority."),
    ] = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Refuse a node from now on, and its certificates for ever: it was lost, stolen or taken away.

    Exit status: 0 the broker knows too, 1 something is left to do, 2 it is not revoked.
    """
    loaded = settings.load(settings_path)
    with _in_words():
        done = revoking.revoke(
            loaded,
            node,
            dt.datetime.now(dt.UTC),
            authority_key=authority_key,
            lost=certificate or (),
        )
    _tell(loaded, done, f"{done.node} is revoked", as_json=as_json)


@app.command()
def restore(
    node: NodeArgument,
    settings_path: SettingsOption = DEFAULT,
    authority_key: KeyOption = None,
    same_keys: Annotated[  # noqa: FBT002
        bool, typer.Option("--same-keys", help="Accept its old keys too: nobody else had them.")
    ] = False,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Admit a revoked node again, with new keys, or with its old ones where nobody else had them.

    Exit status: 0 done, 1 it needs new keys, 2 nothing is changed.
    """
    loaded = settings.load(settings_path)
    with _in_words():
        done = revoking.restore(
            loaded, node, dt.datetime.now(dt.UTC), same_keys=same_keys, authority_key=authority_key
        )
    _tell(loaded, done, f"{done.node} is admitted", as_json=as_json)


@app.command()
def crl(
    settings_path: SettingsOption = DEFAULT,
    authority_key: KeyOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Write the broker's list of revoked certificates anew: it is missing, damaged or out of date.

    No node is revoked or admitted by it.

    Exit status: 0 done, 2 the list is as it was.
    """
    loaded = settings.load(settings_path)
    path = crl_path(loaded.broker.nodes)
    try:
        count = revoking.renew(loaded, dt.datetime.now(dt.UTC), authority_key=authority_key)
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; run this as the user of the gateway, on a disk with room"
        ) from error
    if as_json:
        _write({"path": str(path), "revoked": count})
        return
    told = f"{path} is written anew, with {count} revoked certificates; the broker reads it itself"
    Console().print(Text(told), soft_wrap=True)


@app.command()
def rename(
    node: NodeArgument,
    label: Annotated[str, typer.Argument(help="What people see beside its id; '' takes it away.")],
    settings_path: SettingsOption = DEFAULT,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Give a node a label for people. Its id stays: certificates, topics and alerts go by it."""
    loaded = settings.load(settings_path)
    done = revoking.rename(loaded, node, label)
    if as_json:
        _write(done)
        return
    told = f"is called {done.label!r}" if done.label else "has no label"
    Console().print(Text(f"{done.node} {told} from now on"), soft_wrap=True)


def _tell(loaded: Settings, done: Done, head: str, *, as_json: bool) -> None:
    """Say what was done and what is left."""
    if as_json:
        record: dict[str, Any] = msgspec.to_builtins(done)
        _write({**record, "running": is_running(Path(loaded.directory))})
    else:
        console = Console()
        when = (
            "the running gateway acts on it within a second"
            if is_running(Path(loaded.directory))
            else "the gateway acts on it from its next start"
        )
        console.print(Text(f"{head}; {when}", style="bold"), soft_wrap=True)
        if done.revoked is not None and done.crl is Crl.signed:
            told = f"its certificates ({len(done.serials)}) are on the broker's list"
            console.print(Text(told, style="green"), soft_wrap=True)
        for sentence in done.left:
            console.print(Text(f"left to do: {sentence}", style="yellow"), soft_wrap=True)
    if done.left:
        raise typer.Exit(EXIT_LEFT)
