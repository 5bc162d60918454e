"""One question to every node: what is not well at each, or in one line that all are."""

from collections.abc import Callable, Iterable

from gateway.doctor.finding import Found, Level, ok
from gateway.doctor.scene import NodeLook
from gateway.wire import Health


def each_node(
    nodes: Iterable[NodeLook], found: Callable[[NodeLook], Found | None], well: str
) -> Found | list[Found]:
    """Return what is not well at each node, or in one line that all are."""
    told = [each for each in map(found, nodes) if each is not None]
    unwell = [each for each in told if each.level is not Level.ok]
    if unwell:
        return unwell
    if len(told) == 1:
        return told[0]
    return ok(f"{len(told)} nodes: {well}" if told else "no node tells")


def told_by(
    found: Callable[[NodeLook, Health], Found | None],
) -> Callable[[NodeLook], Found | None]:
    """Return the same question, not asked of a node that has sent no health."""

    def ask(node: NodeLook) -> Found | None:
        return None if node.health is None else found(node, node.health)

    return ask
