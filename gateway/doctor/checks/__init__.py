"""The checks, a module for each subject; importing this package registers them all."""

from gateway.doctor.checks import (
    broker,
    certificates,
    clock,
    database,
    disk,
    gateway,
    library,
    machine,
    nodes,
    nodes_healths,
    outbox,
)

__all__ = [
    "broker",
    "certificates",
    "clock",
    "database",
    "disk",
    "gateway",
    "library",
    "machine",
    "nodes",
    "nodes_healths",
    "outbox",
]
