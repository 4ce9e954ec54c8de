"""Every setting with its default, unit and meaning. `tidegate config` prints them.

The docstring under a field is its documentation; the README's table is generated from it.
"""

from dataclasses import dataclass, field
from ipaddress import ip_network
from string import ascii_letters, digits

LISTENERS = ("http", "https", "unix", "admin", "ready")
"""Names in `gateway.listen_fds`. `ready` is no socket but the writing end of a pipe: the worker
writes a byte when it serves, and closes it when it accepts no more."""

MIN_TELEMETRY_BYTES = 1024 * 1024
"""A smaller file would be purged more than written."""


def _native(value: str) -> None:
    if value not in {"auto", "off", "required"}:
        raise ValueError(f"native must be auto, off or required, not {value!r}")


def _positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(f"{name} must be greater than 0, not {value}")


def _ratio(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be between 0 and 1")


def _network(part: str) -> None:
    try:
        ip_network(part)
    except ValueError as exc:
        raise ValueError(
            f"trusted_proxies: {part!r} is no address, network, `unix` or `*` ({exc})"
        ) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class UpSettings:
    """The one-machine supervisor."""

    data_dir: str = "~/.local/share/tidegate"
    """Where everything that must survive lives: the store, logs, replicas' files."""
    workers: int = 0
    """Gateway workers; 0: one per core."""
    stop_timeout_s: float = 30.0
    """How long each stage of an orderly stop may take before the next begins. Gateways end their
    drain a second before it, also where `gateway.drain_timeout_s` is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The store."""

    url: str | None = None
    """`redis://...`, `rediss://...` or `unix:///path`; empty: the embedded Valkey of `up`."""
    namespace: str = "tidegate"
    """Hash tag of all keys: installations that share a server need different ones."""
    allow_volatile: bool = False
    """Accept an external server that keeps nothing over a restart."""
    min_free_bytes: int = 64 * 1024 * 1024
    """Embedded only: refuse writes with a clear error when the disk has less than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """The control plane's REST API."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8081
    """TCP port of the API; 0: a free one."""
    gateway_url: str | None = None
    """Base of the invoke URLs in answers, as clients see it; empty: the gateway's own address."""
    public_url: str | None = None
    """Base of this API as replicas reach it (`DATAROBOT_ENDPOINT`); empty: its own address."""
    credentials_key_file: str | None = None
    """Keys that encrypt credentials in the store, one a line, the first encrypts; empty:
    `credentials.key` in `up.data_dir`, which `tidegate up` makes."""
    max_concurrent_workloads: int = 0
    """Limit of running workloads; 0: none."""
    max_workload_replicas: int = 1000
    """Limit of replicas of one workload: a slip in a count fills no cluster. 0: none."""
    bundles_file: str | None = None
    """YAML catalogue of the sizes that replicas may have; empty: built-in examples
    (`controlplane/catalogue.yaml`)."""
    audit_kept: int = 10_000
    """Lines that the audit holds: a number, not a time. Older ones are forgotten here; the logs of
    the processes have every line. A line has a few hundred bytes of the store's memory."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        _positive(audit_kept=self.audit_kept)

    draft_ttl_s: float = 28_800.0
    """A workload on a draft artifact is removed this long after its last start, unless the artifact
    is locked before; 0: never."""
    deleted_retention_s: float = 604_800.0
    """How long what was deleted, and its journals, stay in the store; 0: for ever."""
    image_validation: bool = False
    """Check the image URIs of artifacts against `image_allowlist` and `image_denylist`."""
    image_allowlist: str = ""
    """Images that artifacts may name, as globs: `registry.example/*, *:stable`; empty: all."""
    image_denylist: str = ""
    """Images that artifacts may not name, as globs, also where the allowlist has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """One gateway worker."""

    host: str = "127.0.0.1"
    """Address to listen on (all workers, with SO_REUSEPORT); `::`: all of IPv6 and of IPv4."""
    port: int = 8080
    """TCP port of the invoke URLs; 0: a free one."""
    plain: bool = True
    """Listen on `port`, without TLS; off: only with TLS, or on `unix_path` (with nothing but that,
    set `api.gateway_url`)."""
    tls_cert_file: str | None = None
    """Certificate chain (PEM): listen with TLS on `tls_port` too. Read again when it changes."""
    tls_key_file: str | None = None
    """Its private key (PEM, no password); empty: it is in `tls_cert_file`."""
    tls_port: int = 8443
    """TCP port of the invoke URLs over TLS (1.2 and 1.3); 0: a free one."""
    tls_client_ca_file: str | None = None
    """Only clients with a certificate of one of these authorities (PEM) may connect with TLS."""
    tls_handshake_timeout_s: float = 10.0
    """How long a client's TLS handshake may take."""
    unix_path: str | None = None
    """Listen on this Unix socket too, without TLS. What stands there is replaced if it is a socket
    that nobody listens on."""
    unix_mode: str = "0660"
    """Who may connect to `unix_path`: the socket's permissions, in octal."""
    upstream_ca_file: str | None = None
    """Replicas that speak TLS need a certificate of one of these authorities (PEM), whatever its
    name; empty: any certificate will do."""
    admin_host: str = "127.0.0.1"
    """Address of the admin port."""
    admin_port: int = 9090
    """/livez, /readyz, /metrics; worker i listens on this plus i. 0: a free one."""
    worker_index: int = 0
    """Which worker this process is; set by the supervisor."""
    worker_count: int = 1
    """How many workers share the port; set by the supervisor. Per-replica limits are split."""
    listen_fds: str = ""
    """Sockets that listen already, by descriptor: `http=3 https=4 unix=5 admin=6`. Set by the
    supervisor, which keeps them open, so that no connection is lost between two workers."""
    concurrency_limit: int = 1024
    """Most requests in flight per replica where neither the runtime nor a target says."""
    queue_limit: int = 10_000
    """Most waiting requests per workload and worker; beyond it: 503 `queue_full`."""
    max_queued_bytes: int = 256 * 1024 * 1024
    """Most memory of waiting requests per worker; 0: no limit. Beyond a share of it, by importance
    of the workload: 503 `overloaded`."""
    max_exchanges: int = 50_000
    """Most requests per worker at a time, waiting ones and tunnels included; 0: as many as it may
    open files for. Beyond a share of it, by importance of the workload: 503 `overloaded`."""
    cold_start_timeout_s: float = 300.0
    """How long a request may wait for a replica; then 504 `cold_start_timeout`."""
    connect_timeout_s: float = 3.0
    """TCP connect to a replica."""
    response_timeout_s: float = 600.0
    """From the whole request sent to the response head."""
    request_timeout_s: float = 0.0
    """From a request's head to its response's last byte, where the workload does not say; 0: no
    limit. Not for tunnels."""
    idle_timeout_s: float = 600.0
    """Longest silence inside a response or a tunnel, or of a client that does not read."""
    half_closed_timeout_s: float = 10.0
    """Longest silence in a tunnel that one side has ended."""
    body_timeout_s: float = 60.0
    """Longest silence of a client that owes us the rest of a request's body; then 408."""
    first_byte_timeout_s: float = 60.0
    """How long a new client connection may wait with its first request."""
    head_timeout_s: float = 15.0
    """From a request's first byte to the end of its head."""
    keep_alive_timeout_s: float = 75.0
    """Idle client connections are closed after this."""
    upstream_idle_timeout_s: float = 4.0
    """Idle replica connections are closed after this; keep it below the replica's own keep-alive
    timeout (uvicorn: 5 s), or the next request races with its FIN."""
    max_idle_per_endpoint: int = 1024
    """Idle connections kept per replica."""
    max_connections: int = 0
    """Most client connections per worker; beyond it: 503 `too_many_connections`. 0: as many as it
    may open files for, less those that its requests need."""
    max_connections_per_client: int = 0
    """Most connections per worker of one client address that is none of `trusted_proxies`; beyond
    it: 429 `too_many_connections`. 0: no limit."""
    max_requests_per_connection: int = 0
    """Requests after which a client connection is closed, in order; 0: no limit."""
    max_head_bytes: int = 65_536
    """Largest request or response head."""
    max_target_bytes: int = 16_384
    """Longest request target; beyond it: 414."""
    max_headers: int = 100
    """Most header lines in a head."""
    max_body_bytes: int = 0
    """Largest request body; 0: no limit. Beyond it: 413."""
    max_attempts: int = 3
    """Tries per request, the first included; only safe ones are repeated."""
    retry_budget_ratio: float = 0.2
    """Repeats per request and proton, over 10 s: what breaks under load must not get thrice the
    load. Beyond it, 502 at once."""
    retry_budget_min: int = 100
    """Repeats in 10 s however few requests there are: a lost replica takes down with it all that it
    was working on."""
    replay_bytes: int = 65_536
    """Largest request body kept for a safe repeat."""
    eject_s: float = 1.0
    """First ejection of a failing replica; doubles with every further one, up to 30 s."""
    report_interval_s: float = 0.5
    """How often load is reported; wake-ups report at once."""
    report_ttl_s: float = 5.0
    """A worker that has not reported for this long is gone."""
    drain_timeout_s: float = 30.0
    """After SIGTERM: how long open requests may take."""
    lame_duck_s: float = 0.0
    """After SIGTERM: keep accepting this long with /readyz failing, for load balancers in front."""
    access_log: str = "errors"
    """`off`, `errors` (refused, failed, 5xx) or `all`; JSON lines."""
    access_log_sample_ratio: float = 1.0
    """Share of the lines that `all` writes, 0 to 1."""
    native: str = "auto"
    """The hot path compiled by mypyc: `auto` uses it where it was built from these very sources
    (by the installation, or `python -m gateway.build`), `off`, or `required`."""
    trusted_proxies: str = ""
    """Proxies of yours in front: addresses and networks (`10.0.0.0/8, ::1`), `unix`, or `*` for
    everybody. Their X-Forwarded-* and Forwarded go on to replicas; a stranger's never."""
    server_timing: bool = False
    """Tell clients in Server-Timing how long queue or cold start, gateway and replica took."""
    trace_sample_ratio: float = 0.0
    """Share of the requests without a `traceparent` that become sampled traces, 0 to 1. Requests
    whose client samples its trace are recorded always."""
    cold_start_header: str = ""
    """Name of a response header that tells `true` or `false`: the request had to wait for a
    replica to start (KEDA's is `X-KEDA-HTTP-Cold-Start`); empty: none."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if self.access_log not in {"off", "errors", "all"}:
            raise ValueError(f"access_log must be off, errors or all, not {self.access_log!r}")
        _native(self.native)
        _ratio(
            access_log_sample_ratio=self.access_log_sample_ratio,
            trace_sample_ratio=self.trace_sample_ratio,
        )
        for part in self.trusted_proxies.replace(",", " ").split():
            if part not in {"*", "unix"}:
                _network(part)
        if self.cold_start_header.strip("!#$%&'*+-.^_`|~" + ascii_letters + digits):
            raise ValueError(
                f"cold_start_header must be a header's name, not {self.cold_start_header!r}"
            )
        if not (self.plain or self.tls_cert_file or self.unix_path):
            raise ValueError("plain is off, so tls_cert_file or unix_path must be set")
        if (self.tls_key_file or self.tls_client_ca_file) and not self.tls_cert_file:
            raise ValueError("tls_cert_file must be set with tls_key_file and tls_client_ca_file")
        if not self.unix_mode or set(self.unix_mode) - set("01234567") or len(self.unix_mode) > 4:  # noqa: PLR2004
            raise ValueError(f"unix_mode must be permissions like 0660, not {self.unix_mode!r}")
        _ = self.descriptors
        _positive(
            concurrency_limit=self.concurrency_limit,
            report_interval_s=self.report_interval_s,
            max_attempts=self.max_attempts,
            max_head_bytes=self.max_head_bytes,
            connect_timeout_s=self.connect_timeout_s,
            tls_handshake_timeout_s=self.tls_handshake_timeout_s,
            first_byte_timeout_s=self.first_byte_timeout_s,
            body_timeout_s=self.body_timeout_s,
            half_closed_timeout_s=self.half_closed_timeout_s,
        )

    @property
    def descriptors(self) -> dict[str, int]:
        """`listen_fds` by name.

        Raises:
            ValueError: It is malformed.
        """
        found = {}
        for part in self.listen_fds.split():
            name, equals, number = part.partition("=")
            if name not in LISTENERS or not equals or not number.isdecimal():
                raise ValueError(f"listen_fds must be like `http=3 admin=4`, not {part!r}")
            found[name] = int(number)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerSettings:
    """The autoscaler and its process reconciler."""

    admin_host: str = "127.0.0.1"
    """Address of the admin port."""
    admin_port: int = 9089
    """/livez, /readyz, /metrics of the autoscaler; 0: a free one."""
    native: str = "auto"
    """Decisions compiled by mypyc: `auto` uses them where they were built from these very sources
    (by the installation, or `python -m autoscaler.build`), `off`, or `required`."""
    tick_s: float = 1.0
    """Time between regular decisions; wake-ups and queue growth decide at once."""
    stable_window_s: float = 60.0
    """Load is averaged over this (Knative's stable window)."""
    panic_window_ratio: float = 0.1
    """The short window as a share of the stable one (Knative: 10 %)."""
    panic_threshold: float = 2.0
    """Panic when the short window wants this many times the ready replicas."""
    max_scale_up_rate: float = 1000.0
    """Most growth in one decision, as a multiple of the ready replicas."""
    max_scale_down_rate: float = 1.2
    """Most shrinking in one decision: never below ready replicas divided by this; with a delay of
    shrinking, in one delay (Knative: 2)."""
    max_scale_up_replicas: int = 0
    """Most replicas more than the lowest count of the last `scale_limit_period_s`, not counting
    those that wake from zero; 0: no limit."""
    max_scale_down_replicas: int = 0
    """Most replicas fewer than the highest count of the last `scale_limit_period_s`, except to
    zero; 0: no limit."""
    scale_limit_period_s: float = 60.0
    """What `max_scale_up_replicas` and `max_scale_down_replicas` are counted over."""
    scale_up_delay_s: float = 0.0
    """A higher wish must have held this long before it counts, a burst's too; not from zero
    (the HPA's `scaleUp.stabilizationWindowSeconds`)."""
    scale_down_delay_s: float = 300.0
    """A lower wish must have held this long before it counts, except to zero (Knative's
    scale-down-delay, 0 there; the HPA's `scaleDown.stabilizationWindowSeconds`, 300 there).
    loadtests/SCALING.md shows what this is worth."""
    stabilization_window_s: float | None = None
    """For this long after the present count was wanted, one replica less is taken for noise; empty:
    the stable window, 0: never."""
    activation_scale: int = 1
    """Fewest replicas while any are wanted, with a minimum of 0 (Knative's activation-scale)."""
    min_run_time_s: float = 0.0
    """A replica that became ready less than this ago (or that was made less than this ago, if it
    is not ready yet) is not taken away, unless the maximum asks for it."""
    schedule_lead_s: float = 30.0
    """How long before a schedule begins its replicas are started, where the proton's own cold
    starts (their 90th percentile) are not known yet."""
    cooldown_s: float = 300.0
    """Idle time before zero, where the workload does not say (`cooldownPeriodMinutes`)."""
    tolerance_ratio: float = 0.0
    """Metrics of requests: no change while within this of the target, unless requests wait."""
    cpu_tolerance_ratio: float = 0.1
    """CPU policy: no change while within this of the target (the HPA's tolerance)."""
    report_max_age_s: float = 5.0
    """Load reports older than this do not count; without any, nothing shrinks."""
    quality_coverage_ratio: float = 1.0
    """Nothing shrinks while less than this of the gateway workers and of the window is known."""
    quality_age_s: float = 3.0
    """Nothing shrinks while a gateway worker's last report is older than this."""
    quality_disagreement_ratio: float = 0.5
    """Nothing shrinks while gateways and replicas count requests in flight that differ by more
    than this share of the larger number; 1: they may."""
    scrape_interval_s: float = 5.0
    """How often replicas are asked for their metrics page, where a policy needs a metric of it."""
    scrape_timeout_s: float = 2.0
    """How long one replica may take to send its page (1 MiB at most)."""
    scrape_paths: str = "/metrics, /v1/metrics"
    """Where the page is, on the port that serves requests; the next path is tried after a 404."""
    inventory_file: str | None = None
    """YAML list of nodes with their CPUs, memory and GPUs, in place of what this machine has; see
    autoscaler/README.md."""
    arbitrate_gpus: str = "known"
    """`known`: replicas get GPUs of their own where any are known, by NVML or `inventory_file`;
    `always`: a workload that asks for a GPU where none is known is refused."""
    arbitrate_cpu_memory: bool = False
    """Whether CPU and memory that workloads ask for are shared out exactly, too, instead of letting
    them add up to more than there is."""
    preemption_min_run_s: float = 60.0
    """A replica need not give way to a more important workload before it has run this long."""
    preemption_pause_s: float = 30.0
    """After giving way, a workload gets nothing beyond its minimum for this long."""
    drain_timeout_s: float = 60.0
    """How long a replica chosen for removal may finish its requests."""
    stop_grace_s: float = 10.0
    """From SIGTERM to SIGKILL of a replica."""
    start_timeout_s: float = 600.0
    """A replica that is not ready after this failed its start."""
    crash_limit: int = 5
    """Failed starts in a row, none ready in between, that make a proton `errored`."""
    restart_backoff_s: float = 0.5
    """Wait before the second start of a crashing replica; doubles, up to 30 s."""
    decision_history: int = 1000
    """Decisions kept per proton."""
    lease_ttl_s: float = 3.0
    """A standby takes over after this."""
    replica_port_min: int = 21_000
    """First port handed to replicas as PORT."""
    replica_port_max: int = 29_999
    """Last port handed to replicas as PORT."""
    replica_log_bytes: int = 8 * 1024 * 1024
    """Size at which a replica's log file is rotated (one older file is kept)."""
    stop_replicas_on_exit: bool = True
    """Whether an orderly stop ends the replicas."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        _native(self.native)
        _positive(
            tick_s=self.tick_s,
            stable_window_s=self.stable_window_s,
            panic_window_ratio=self.panic_window_ratio,
            lease_ttl_s=self.lease_ttl_s,
            crash_limit=self.crash_limit,
            scrape_interval_s=self.scrape_interval_s,
            scrape_timeout_s=self.scrape_timeout_s,
            scale_limit_period_s=self.scale_limit_period_s,
            activation_scale=self.activation_scale,
            quality_age_s=self.quality_age_s,
        )
        _ratio(
            tolerance_ratio=self.tolerance_ratio,
            quality_coverage_ratio=self.quality_coverage_ratio,
            quality_disagreement_ratio=self.quality_disagreement_ratio,
        )
        if self.max_scale_up_rate <= 1 or self.max_scale_down_rate <= 1:
            raise ValueError("max_scale_up_rate and max_scale_down_rate must be greater than 1")
        if self.arbitrate_gpus not in {"known", "always"}:
            raise ValueError(f"arbitrate_gpus must be known or always, not {self.arbitrate_gpus!r}")
        if self.replica_port_min > self.replica_port_max:
            raise ValueError("replica_port_min must not exceed replica_port_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductorSettings:
    """What the control plane does by the clock, in one API process at a time."""

    lease_ttl_s: float = 3.0
    """Another API process takes over after this."""
    tick_s: float = 0.5
    """Time between regular looks; changes of records are looked at, at once."""
    candidate_timeout_s: float = 900.0
    """A replacement whose candidate is not ready for this long has failed."""
    drain_timeout_s: float = 60.0
    """How long a proton that leaves may keep requests waiting in the gateways' queues. Those that
    are with its replicas then have `autoscaler.drain_timeout_s`."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        _positive(
            lease_ttl_s=self.lease_ttl_s,
            tick_s=self.tick_s,
            candidate_timeout_s=self.candidate_timeout_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Logs, traces and metrics of applications, kept in a file of the API process."""

    max_bytes: int = 1024 * 1024 * 1024
    """Most disk space; the workload that holds most loses its oldest first. 0: nothing is kept,
    replicas are told of no OTLP endpoint, and gateways record no spans."""
    directory: str | None = None
    """Where the file is; empty: `telemetry` in `up.data_dir`. API processes on one machine that
    name the same directory share it."""
    endpoint: str | None = None
    """OTLP base URL that replicas get, as they reach it (`http://host:8081/api/v2/otel`); empty:
    the API's own address."""
    draft_retention_s: float = 24 * 3600.0
    """How long records of a workload on a draft are kept, where `max_bytes` allows."""
    locked_retention_s: float = 30 * 24 * 3600.0
    """The same for a workload on a locked artifact."""
    workload_bytes_per_s: int = 1024 * 1024
    """Most that one workload may send or write in a second, averaged over 10 s: as sent, inflated,
    or as written, with the resource at each record, whichever is more. Beyond it senders get 429,
    and its output is read later."""
    min_free_bytes: int = 256 * 1024 * 1024
    """With less free disk space than this, telemetry is dropped: the store needs the rest."""

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        if 0 < self.max_bytes < MIN_TELEMETRY_BYTES or self.max_bytes < 0:
            raise ValueError(
                f"max_bytes must be 0 or at least {MIN_TELEMETRY_BYTES}, not {self.max_bytes}"
            )
        _positive(
            draft_retention_s=self.draft_retention_s,
            locked_retention_s=self.locked_retention_s,
            workload_bytes_per_s=self.workload_bytes_per_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Logs of all processes."""

    level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
    format: str = "auto"
    """`json`, `text`, or `auto`: text on a terminal, else JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All sections."""

    up: UpSettings = field(default_factory=UpSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    autoscaler: AutoscalerSettings = field(default_factory=AutoscalerSettings)
    conductor: ConductorSettings = field(default_factory=ConductorSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    log: LogSettings = field(default_factory=LogSettings)
