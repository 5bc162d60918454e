"""Goal: a node without spectrometer is a whole node, and a post that has no other is well.

Method: the firmware in a real MicroPython with scanner, document reader and scale, each simulated
on a real pseudo-terminal; a real gateway with its own mosquitto; the commands that people type.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from decimal import Decimal

import pytest

from simulators.readers import Readers
from simulators.sides import Code, Mass
from tests.firmware.test_inspections import Officer, papers_of
from tests.gateway.running import NODE, POST, running

NOT_HERE = "this node has no spectrometer; ask another one"


async def harmattan(path, *words):
    """Return exit status and what a command printed."""
    command = [sys.executable, "-m", "gateway", *words, "--settings", str(path), "--json"]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, json.loads(done.stdout)


@contextlib.asynccontextmanager
async def lane(bench, **settings):
    """Give the path of a post's settings, its only node and an officer, once the node is heard."""
    path = bench.folder / "post.toml"
    path.write_text(
        f'post = "{POST}"\ndirectory = "state"\n[broker]\nport = {bench.port}\n'
        f'[[nodes]]\nid = "{NODE}"\n'
    )
    usual = bench.settings
    bench.settings = lambda **changes: {
        key: value for key, value in usual(**changes).items() if key != "instrument"
    }
    async with Readers(bench.folder / "ports", seed=1) as readers, running(path) as log, bench:
        node = await bench.start_node(post=POST, node=NODE, readers=readers.settings, **settings)
        for name in ("scanner", "document", "mt_sics"):
            await node.log.wait(lambda line, name=name: line.startswith(f"{name}:"))
        await log.event("node_born")
        await log.event("node_status", online=True)
        yield path, node, Officer(node, readers)


def code(number):
    return Code("]C0", b"CSQU305438%d" % number)


@pytest.mark.timeout(120)
def test_a_post_whose_only_node_has_no_spectrometer_is_well_and_stays_so(bench):
    """SPEC 3.4, SPEC 8.5, SPEC 8.8."""

    async def story():
        barred = bench.folder / "laser.barred"
        barred.write_text("barred\n")  # of a time when it had one: there is no button to lift it
        async with lane(bench) as (path, node, officer):
            status, told = await harmattan(path, "status")
            assert (status, told["nodes"][0]["calibration"]) == (0, "unneeded"), told

            for action in ("capture", "laser-off"):
                status, answer = await harmattan(path, "command", NODE, action)
                assert (status, answer["outcome"], answer["detail"]) == (1, "refused", NOT_HERE)
            await officer.show(code(1))
            assert not [name for name, _ in node.signals.items if name == "fault"]
            status, told = await harmattan(path, "status")
            assert status == 0, told

    asyncio.run(story())


@pytest.mark.timeout(120)
def test_without_a_spectrometer_papers_begin_the_next_act(bench):
    async def story():
        async with lane(bench) as (_, _, officer):
            first = {
                await officer.show(papers_of("sugar")),
                await officer.show(papers_of("bakery")),  # of a second driver
                await officer.show(code(1)),
                await officer.show(Mass(Decimal("25.08"))),
            }
            second = {
                await officer.show(papers_of("sugar")),
                await officer.show(code(2)),
            }
            third = await officer.show(papers_of("bakery"))
            assert len(first) == len(second) == 1
            assert len(first | second | {third}) == 3

    asyncio.run(story())


@pytest.mark.timeout(120)
def test_without_a_spectrometer_goods_after_papers_that_come_last_begin_the_next_act(bench):
    async def story():
        async with lane(bench, papers_first=False) as (_, _, officer):
            first = {
                await officer.show(code(1)),
                await officer.show(Mass(Decimal("25.08"))),
                await officer.show(papers_of("sugar")),
                await officer.show(papers_of("bakery")),
            }
            second = {await officer.show(code(2)), await officer.show(papers_of("sugar"))}
            assert len(first) == len(second) == 1
            assert first != second

    asyncio.run(story())
