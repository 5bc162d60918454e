"""`harmattan status` on one screen, for a person."""

from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.journal.differences import Progress
from gateway.observe.condition import COLUMNS, cells
from gateway.observe.showing import show_own
from gateway.observe.state import EVERYTHING
from gateway.observe.status import DAY_S, NodeState, Status

NODES_SHOWN_MAX: Final = 16  # with a line of what each says of itself they fill a screen


def show(status: Status, console: Console, now_ms: int) -> None:
    """Draw the status for a person."""
    _show_head(status, console)
    show_own(status.own, console, now_ms, is_clock_wrong=bool(status.clock_fault))
    if status.own.keeping is None:
        return  # nothing else is known
    _show_nodes(status, console, now_ms)
    verdicts = ", ".join(f"{name} {count}" for name, count in sorted(status.verdicts.items()))
    console.print(f"records {status.records}, awaiting judgement {status.pending}")
    console.print(f"verdicts: {verdicts or 'none yet'}")
    console.print(f"alerts: delivered {status.alerts_delivered}, waiting {status.alerts_waiting}")
    if status.alert_fault:
        console.print("[red]delivery:[/red]", Text(status.alert_fault))
    if status.library is not None:
        _show_library(status.library, console)
    if status.counters.get("record_lost"):
        console.print(f"[red]lost records: {status.counters['record_lost']}[/red]")
    counted = ", ".join(f"{name} {count}" for name, count in status.counters.items())
    console.print(f"counted: {counted or 'nothing'}")


def _show_nodes(status: Status, console: Console, now_ms: int) -> None:
    """Draw the nodes: all of a small post; of a large one those that somebody should look at."""
    nodes = status.nodes
    if len(nodes) > NODES_SHOWN_MAX:
        nodes = tuple(sorted(nodes, key=lambda node: node.is_well)[:NODES_SHOWN_MAX])
        well = sum(node.is_well for node in status.nodes)
        console.print(
            f"nodes {len(status.nodes)}, well {well}; shown are {len(nodes)}, those first that"
            " are not (--json has all)"
        )
    table = Table(box=None, pad_edge=False)
    columns = ("node", "state", "seen", "instrument", "axis set", "config", "records")
    for column in columns:
        table.add_column(column)
    for node in nodes:
        colour = {"online": "green", "offline": "red", "revoked": "dim"}.get(node.state, "yellow")
        seen = "-" if node.seen_ms is None else f"{max(0, now_ms - node.seen_ms) // 1000} s ago"
        table.add_row(
            Text(f"{node.node} ({node.label})" if node.label else node.node),
            f"[{colour}]{'last heard' if node.state == 'unknown' else node.state}[/{colour}]",
            seen,
            Text(node.instrument or "-"),
            _age(node),
            "in force" if node.config_in_force else "not yet",
            str(node.records),
        )
    console.print(table)
    _show_conditions(nodes, console)
    for node in nodes:
        if node.fault:  # a node's own words are no markup
            console.print(
                f"[red]fault of {node.node}:[/red]",
                Text(f"{node.fault} (in short; harmattan command {node.node} log says it all)"),
                soft_wrap=True,
            )
        if node.response == "expired":
            console.print(
                f"[yellow]intensities of {node.node}:[/yellow] the correction is"
                f" {(node.response_age_s or 0.0) / DAY_S:.0f} days old and left out; measure the"
                " glass again"
            )
        if node.calibration == "failed":
            console.print(f"[red]calibration of {node.node}:[/red]", Text(node.calibration_text))


def _show_conditions(nodes: tuple[NodeState, ...], console: Console) -> None:
    """Draw what the nodes say of themselves."""
    for node in nodes:
        if node.condition is not None:
            name, *told = cells(node.node, node.condition)
            pairs = zip(COLUMNS[1:], told, strict=True)
            text = ", ".join(f"{column} {cell}" for column, cell in pairs)
            console.print(Text(f"{name}: {text}"), soft_wrap=True)


def _show_head(status: Status, console: Console) -> None:
    """Draw what concerns the whole post: whether it runs, and whether its clock can be right."""
    told = "[green]gateway runs[/green]" if status.running else "[red]gateway does not run[/red]"
    if status.own.hangs == EVERYTHING:
        told = "[red]gateway stands still[/red]"
    console.print(f"[bold]post {status.post}[/bold]  {told}")
    if status.clock_fault:
        console.print("[red]clock:[/red]", Text(status.clock_fault), soft_wrap=True)


def _show_library(library: Progress, console: Console) -> None:
    """Draw the library in use, and what it changed in stored readings."""
    told = "judged again" if library.is_ended else "being judged again"
    console.print(Text(f"library {library.library_version}; lists {library.lists_version}"))
    if library.judged:
        console.print(
            f"stored readings {told}: {library.judged}, changed {library.changed} (now alarm"
            f" {library.raised}, no alarm any more {library.lowered});"
            " harmattan library rejudged"
        )
    for text in library.faults:
        console.print("[red]library:[/red]", Text(text), soft_wrap=True)


def _age(state: NodeState) -> Text:
    """Return the calibration in a few words."""
    if state.calibration == "unneeded":
        return Text("-")
    if state.calibration_age_s is None:
        return Text("none", style="red")
    hours = state.calibration_age_s / 3_600
    age = f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} d"
    if state.calibration == "valid":
        return Text(f"{age} ago", style="green")
    return Text(state.calibration, style="red")
