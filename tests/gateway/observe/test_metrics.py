"""Goal: whatever is lost, refused or filling up at a post shows in a metric that is explained.

Method: a running post with a real broker and journal, asked over HTTP and read by the library's own
parser; the list of counters, and every bound that the sources name, held against docs/metrics.md.
"""

import ast
import asyncio
import json
import re
import socket

import aiohttp
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import settings
from gateway.journal.condition import Condition, DiskState
from gateway.journal.store import connect
from gateway.observe.counters import NAMES
from gateway.observe.figures import NodeFigures, read_figures
from gateway.observe.machine import Machine, look
from gateway.observe.metrics import GAUGES, PREFIX, SERIES_MAX, Live, bounds, render
from gateway.observe.state import State
from gateway.observe.versions import versions
from tests.gateway.ingest.test_judging import UREA
from tests.gateway.running import NODE, rows, running, starting, write_settings
from tests.gateway.scripted import connected

BOUND = re.compile(r"_MAX(_|$)")  # in a constant's name
ROOMS = ("gateway", "protocol/limits.py")


def parse(text):
    """Return (name, labels as a set of pairs) -> value, and insist on the format."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation or not family.name.startswith("harmattan_")
        for sample in family.samples:
            key = (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def value(found, name, /, **labels):
    return found.get((name, frozenset(labels.items())))


async def scrape(port, host="127.0.0.1"):
    """Return status and text of the metrics."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics", headers={"Host": f"{host}:{port}"}) as said,
    ):
        return said.status, await said.text()


def another_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def observed(folder, port, metrics_port, **options):
    return write_settings(
        folder, port, more=f"[observe]\nmetrics_port = {metrics_port}\n", **options
    )


def test_a_post_tells_how_it_stands(tmp_path, free_port):
    async def story():
        metrics_port = another_port()
        path = observed(tmp_path, free_port, metrics_port)
        async with running(path) as log, connected(free_port) as node:
            await node.be_born(next_seq=2)
            await node.say_status(online=True)
            await node.measure_standard()
            await node.say(node.reading(1, pixels=UREA))
            await log.event("alert")
            await node.say_health(fault="laser is off")
            await log.event("node_fault")
            await log.event("node_status", online=True)
            status, text = await scrape(metrics_port)
            assert status == 200
            found = parse(text)
            assert value(found, "records", node=NODE) == 2
            assert value(found, "verdicts", verdict="alarm") == 1
            assert value(found, "verdict_alarm_total", subject=NODE) == 1
            assert value(found, "record_lost_total", subject="") == 0
            assert value(found, "outbox_alerts") == 1
            assert value(found, "outbox_oldest_age_seconds") > 0
            assert value(found, "node_online", node=NODE) == 1
            assert value(found, "node_online", node="lane-2") == 0
            assert value(found, "node_heard_seconds", node="lane-2") is None
            assert value(found, "node_silent", node=NODE) == 0
            assert value(found, "node_missing_records", node=NODE) == 0
            assert value(found, "node_faulty", node=NODE) == 1
            assert value(found, "disk_state", state="well") == 1
            assert value(found, "disk_state", state="full") == 0
            assert value(found, "disk_free_bytes") > 0
            assert value(found, "limit", name="nodes") == settings.NODES_MAX
            used = value(found, "journal_used_bytes")
            assert 0 < used <= value(found, "journal_file_bytes")
            ((pages,),) = rows(
                tmp_path, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            )
            assert value(found, "journal_file_bytes") <= pages
            build = [dict(labels) for name, labels in found if name == "build_info"]
            assert build[0]["post"] == "post-1"
            assert (await scrape(metrics_port, "evil.example"))[0] == 403
            assert (await scrape(metrics_port, "localhost"))[0] == 200

    asyncio.run(story())


def test_a_port_that_is_taken_costs_the_metrics_and_nothing_else(tmp_path, free_port):
    async def story():
        with socket.create_server(("127.0.0.1", 0)) as server:
            taken = server.getsockname()[1]
            async with starting(observed(tmp_path, free_port, taken)) as log:
                line = await log.event("task_fault", task="metrics")
                assert f"observe.metrics_port {taken} on 127.0.0.1 cannot be used" in line["text"]
                await log.event("broker_connected")

    asyncio.run(story())


def loaded(tmp_path):
    return settings.load(write_settings(tmp_path, 1_883))


def state(**changes):
    return State("/nowhere", 1, 1_000, **changes)


NOTHING = Machine(None, None, None, None)


def test_a_journal_that_cannot_be_read_leaves_the_rest(tmp_path):
    disk = Condition(DiskState.readonly, 5, "the disk is read-only")
    live = Live(
        state(disk=disk, barred={NODE: "overflow"}, barred_count=1),
        {("record_lost", NODE): 3, ("record_lost", "lane-2"): 4},
        arrivals=(5, 6_000, 2),
        missing={NODE: 7},
        silent={NODE: True},
    )
    certificates = {"broker.ca_file": 12.5, "authority.ca_file": None}
    found = parse(render(loaded(tmp_path), live, None, NOTHING, certificates, 9_000).decode())
    assert value(found, "journal_readable") == 0
    assert value(found, "journal_used_bytes") is None
    assert value(found, "disk_state", state="readonly") == 1
    assert value(found, "record_lost_total", subject=NODE) == 3
    assert value(found, "record_lost_total", subject="lane-2") == 4
    assert value(found, "node_quarantined", node=NODE, cause="overflow") == 1
    assert value(found, "node_missing_records", node=NODE) == 7
    assert value(found, "node_silent", node=NODE) == 1
    assert value(found, "arrivals_bytes") == 6_000
    assert value(found, "certificate_days", setting="broker.ca_file") == 12.5
    assert value(found, "certificate_unreadable", setting="authority.ca_file") == 1
    assert value(found, "memory_free_bytes") is None


def test_names_that_somebody_invents_are_bounded(tmp_path):
    counts = {("node_unknown", f"stranger-{number}"): 1 for number in range(3 * SERIES_MAX)}
    text = render(loaded(tmp_path), Live(state(), counts), None, NOTHING, {}, 0).decode()
    assert len([line for line in text.splitlines() if "stranger-" in line]) == SERIES_MAX


def test_every_gauge_is_fed_by_something(repository_path):
    """A gauge that no source ever sets would be a promise that cannot be kept."""
    code = (repository_path / "gateway/observe/metrics.py").read_text()
    for name in GAUGES:
        assert code.count(f'"{name}"') >= 2 or name.startswith("arrivals_"), name


def test_a_gateway_without_its_broker_says_nothing_of_who_is_online(tmp_path):
    connection = connect(tmp_path / "journal.sqlite")
    figures = read_figures(connection, tmp_path)
    connection.close()
    heard = NodeFigures(online=True, seen_ms=1, health=None)
    figures = msgspec.structs.replace(figures, nodes={NODE: heard})
    for unlinked_ms, connected_value, online in ((0, 1, 1), (5_000, 0, None)):
        said = msgspec.structs.replace(state(), unlinked_ms=unlinked_ms)
        text = render(loaded(tmp_path), Live(said, {}), figures, NOTHING, {}, 9_000).decode()
        assert value(parse(text), "broker_connected") == connected_value
        assert value(parse(text), "node_online", node=NODE) == online


def test_every_alert_of_the_manual_names_series_that_are_there(repository_path):
    """And compares no series with one of other labels, which never matches anything."""
    manual = (repository_path / "docs/metrics.md").read_text()
    block = manual.partition("worth waking somebody for:")[2].partition("The sums are there")[0]
    named = re.findall(r"harmattan_(\w+)(?:\{(\w+)=\"(\w+)\"\})?", block)
    assert len(named) >= 10
    known = {name: labels for name, (_, labels) in GAUGES.items()}
    known |= {f"{name}_total": ("subject",) for name in NAMES}
    for name, label, chosen in named:
        assert name in known, name
        assert not label or label in known[name], (name, label)
        if name == "limit":
            assert chosen in bounds(settings.Settings(post="p", directory="d"))
    for line in block.splitlines():
        if "harmattan_limit" in line:
            assert re.search(r"[<>] ignoring\(name\) [\d.]+ \* harmattan_limit", line), line
        assert "on()" not in line


# ------------------------------------------------------------- what is counted, and what is bounded


def test_every_count_and_gauge_is_explained(repository_path):
    manual = (repository_path / "docs/metrics.md").read_text()
    for name in GAUGES:
        assert f"`{PREFIX}{name}`" in manual, f"docs/metrics.md does not explain {PREFIX}{name}"
    for name in re.findall(rf"`{PREFIX}(\w+)`", manual):
        assert name.removesuffix("_total") in {*GAUGES, *NAMES, "NAME", "build_info"}, name


def test_every_limit_and_every_label_is_explained(repository_path, tmp_path):
    manual = (repository_path / "docs/metrics.md").read_text()
    table = manual.partition("The limits, by `name`.")[2].partition("Of the gateway's process")[0]
    rows_ = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    explained = {name: said for names, said in rows_ for name in re.findall(r"`(\w+)`", names)}
    assert explained.keys() == bounds(loaded(tmp_path)).keys()
    for name, said in explained.items():  # each names the figure of that name, where there is one
        assert name not in GAUGES or f"`{PREFIX}{name}`" in said
    said = re.search(r"^\| `harmattan_build_info` \| ([^|]+) \|", manual, re.MULTILINE)[1]
    assert re.sub(r" \([^)]*\)", "", said).split(", ") == [*versions(), "post"]
    for name, (_, labels) in GAUGES.items():
        row = next(line for line in manual.splitlines() if f"`{PREFIX}{name}`" in line[:200])
        if row.startswith("|"):
            assert row.split("|")[2].strip() == ", ".join(labels), row


def test_a_node_that_was_never_heard_fires_a_rule(tmp_path):
    """It has no time since which it is silent; that it has none is what the rule asks for."""
    connection = connect(tmp_path / "journal.sqlite")
    figures = read_figures(connection, tmp_path)
    connection.close()
    found = parse(render(loaded(tmp_path), Live(state(), {}), figures, NOTHING, {}, 0).decode())
    assert value(found, "node_online", node=NODE) == 0
    assert not [labels for name, labels in found if name == "node_heard_seconds"]


def constants(path):
    """Yield the names of a module's bounds."""
    for statement in ast.parse(path.read_text()).body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            if isinstance(target, ast.Name) and BOUND.search(target.id):
                yield target.id


def stated(manual):
    """Return the rows of the table of bounds: (place, constant) -> what is said of it."""
    table = manual.partition("## Every bound")[2]
    found = {}
    for place, names, said in re.findall(
        r"^\| `([\w/.]+)` \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE
    ):
        for name in re.findall(r"`(\w+|\*)`", names):
            assert (place, name) not in found, f"{place} {name} stands twice"
            found[place, name] = said
    return found


def test_every_bound_has_a_metric_or_a_reason(repository_path):
    """The bounds are read from the sources, so that a new one cannot be forgotten."""
    said = stated((repository_path / "docs/metrics.md").read_text())
    unused, missing = set(said), []
    for room in ROOMS:
        root = repository_path / room
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            place = path.relative_to(repository_path).as_posix()
            folders = {
                (parent.as_posix(), "*") for parent in path.relative_to(repository_path).parents
            }
            for name in constants(path):
                keys = ({(place, name), (place, "*")} | folders) & set(said)
                unused -= keys
                if not keys:
                    missing.append(f"{place}: {name}")
    assert not missing, (
        "bounds without a metric: add one, or a row with the reason to the table of"
        f" docs/metrics.md: {missing}"
    )
    assert not unused, f"docs/metrics.md names bounds that are gone: {sorted(unused)}"


def test_what_the_table_names_exists(repository_path):
    said = stated((repository_path / "docs/metrics.md").read_text())
    names = {
        name.removesuffix("_total")
        for text in said.values()
        for name in re.findall(rf"`{PREFIX}(\w+)`", text)
    }
    assert names <= {*GAUGES, *NAMES}
    assert len(names) > 10


def test_bounds_are_the_settings_own(tmp_path):
    path = write_settings(tmp_path, 1_883, more="[journal]\nbytes_max = 123456789\n")
    found = bounds(settings.load(path))
    assert found["journal_used_bytes"] == 123_456_789


# ------------------------------------------------------------------------------------ the computer


@pytest.mark.parametrize("alarm", [0, 1])
def test_a_board_tells_its_temperature_and_supply(tmp_path, alarm):
    zone, sensor = tmp_path / "class/thermal/thermal_zone0", tmp_path / "class/hwmon/hwmon1"
    for folder in (zone, sensor):
        folder.mkdir(parents=True)
    (zone / "temp").write_text("48312\n")
    (sensor / "in0_lcrit_alarm").write_text(f"{alarm}\n")
    found = look(tmp_path)
    assert (found.temperature_c, found.undervoltage) == (48.312, bool(alarm))
    (zone / "temp").write_text("no number")
    (sensor / "in0_lcrit_alarm").unlink()
    found = look(tmp_path)
    assert (found.temperature_c, found.undervoltage) == (None, None)


def test_memory_is_known_without_proc():
    found = look()
    assert 0 < found.memory_free_bytes < found.memory_bytes
    json.dumps(found.memory_bytes)
