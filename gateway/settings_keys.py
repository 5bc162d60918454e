"""Every key of a post's settings, with its range and what holds without it; see settings.py."""

from typing import Annotated, Literal

import msgspec

from protocol import limits

NODES_MAX = 1_000  # ledgers, queues and the broker's sessions of so many stay within 100 MB

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class NodeListenerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where our own broker listens for nodes with certificates; without a host, nowhere."""

    host: Annotated[str, msgspec.Meta(max_length=45)] = ""  # an address of this machine
    port: Port = 8883
    ca_file: str = ""  # that signed the nodes' certificates; all three come from `harmattan init`
    certificate_file: str = ""
    key_file: str = ""
    crl_file: str = ""  # revoked certificates; empty: crl.pem beside ca_file, where there is one


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker: our own child on loopback, or an external one."""

    external: bool = False
    host: Annotated[str, msgspec.Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Port = 18883
    program: str = "mosquitto"  # name on PATH, or a path
    ca_file: str = ""  # the three files are needed for an external broker beyond loopback
    certificate_file: str = ""
    key_file: str = ""
    nodes: NodeListenerSettings = NodeListenerSettings()


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node that may speak at this post, and how it measures."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.TOPIC_NAME_CHARS_MAX)]
    integration_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)] = 400
    scans: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    # Whether the two above are used, or the node goes by the signal.
    exposure: Literal["manual", "automatic"] = "manual"
    period_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    health_s: Annotated[int, msgspec.Meta(ge=5, le=3_600)] = 300
    window: Annotated[int, msgspec.Meta(ge=1, le=limits.WINDOW_RECORDS_MAX)] = limits.WINDOW_RECORDS
    resend_ms: Annotated[int, msgspec.Meta(ge=limits.RESEND_MS_MIN, le=limits.RESEND_MS_MAX)] = (
        limits.RESEND_MS
    )
    # What lies before the probe when its button is held; gateway/spectra/tables/standards.csv.
    standard: Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARS_MAX)] = (
        "polystyrene"
    )


class AuthoritySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go. An empty url keeps them in the outbox."""

    url: Annotated[str, msgspec.Meta(max_length=2_048)] = ""
    ca_file: str = ""  # of the authority's own certification authority; empty: the system's
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=120)] = 20.0
    retry_s_min: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 1.0
    retry_s_max: Annotated[float, msgspec.Meta(ge=1, le=3_600)] = 300.0


class SpectraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far the nodes' axes are trusted, and where the post's own library lies."""

    # How far an axis without calibration is searched for listed substances, only to name them.
    axis_uncertainty_cm1: Annotated[float, msgspec.Meta(ge=0.5, le=5.0)] = 4.0
    calibration_days_max: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30
    response_days_max: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 365  # of intensities
    library_directory: str = "library"  # what is measured or installed here; may not exist


class ScreeningSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the post watches for beyond the shipped lists."""

    lists_directory: str = "lists"  # national watchlists, one TOML file each; may not exist


class JournalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much the journal keeps, and what of the disk stays free for alerts."""

    bytes_max: Annotated[int, msgspec.Meta(ge=100_000_000, le=10**13)] = 8_000_000_000
    days_max: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 365
    # Below so many free bytes no reading is taken in; verdicts and alerts still are.
    reserve_bytes: Annotated[int, msgspec.Meta(ge=1_000_000, le=10**12)] = 64_000_000


class IngestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one node may send; more waits, and lasting excess puts it into quarantine."""

    node_messages_per_s: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    node_bytes_per_s: Annotated[int, msgspec.Meta(ge=10_000, le=100_000_000)] = 1_000_000


class ObserveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the post is watched from outside."""

    metrics_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0  # on 127.0.0.1; 0: none


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a post needs to know; paths are relative to the settings file."""

    post: str
    directory: str = "."
    language: str = "en"
    broker: BrokerSettings = BrokerSettings()
    nodes: Annotated[tuple[NodeSettings, ...], msgspec.Meta(max_length=NODES_MAX)] = ()
    authority: AuthoritySettings = AuthoritySettings()
    spectra: SpectraSettings = SpectraSettings()
    screening: ScreeningSettings = ScreeningSettings()
    journal: JournalSettings = JournalSettings()
    ingest: IngestSettings = IngestSettings()
    observe: ObserveSettings = ObserveSettings()
