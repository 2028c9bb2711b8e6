"""The tables of a configuration file: every key, its type, its limits, its default, in one place.

msgspec holds types and limits, `Kind` says how a value is written. A docstring under a key is its documentation, which
editors show (`json_schema`).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from . import kinds
from .kinds import DURATION, SIZE, VISIBLE, Kind

LONGEST_S: Final = 1e9
"""About thirty years: whoever wants longer wants "never"."""
LARGEST: Final = 2**31 - 1
DEFAULT_PROXY: Final = "http://127.0.0.1:${PORT}"

Duration = Annotated[
    float,
    Meta(ge=0, le=LONGEST_S),
    Kind(
        'a duration: a number of seconds from 0 to 1e9, or a string such as "1500ms", "5s", "2m", "1h"',
        kinds.duration,
        {"type": ["number", "string"], "pattern": f"^{DURATION}$"},
    ),
]
Size = Annotated[
    int,
    Meta(ge=1, le=2**53),
    Kind(
        'a size: a number of bytes above 0, or a string such as "512KiB", "256MiB", "1GiB"',
        kinds.size,
        {"type": ["integer", "string"], "pattern": f"^{SIZE}$"},
    ),
]
Count = Annotated[int, Meta(ge=1, le=LARGEST), Kind("a whole number of at least 1")]
Whole = Annotated[int, Meta(ge=-LARGEST, le=LARGEST), Kind("a whole number, above or below 0")]
Port = Annotated[int, Meta(ge=1, le=kinds.HIGHEST_PORT), Kind(f"a port, a whole number from 1 to {kinds.HIGHEST_PORT}")]
Flag = Annotated[bool, Kind("true or false")]
Text = Annotated[str, Kind("a string")]
Name = Annotated[str, Kind("a name, a string", kinds.identifier, {"pattern": r"^\S(.*\S)?$"})]
Names = Annotated[tuple[Name, ...], Kind("a list of names")]
Word = Annotated[str, Kind("a word, a string", kinds.word)]
Words = Annotated[
    tuple[Word, ...],
    Kind(
        "a command: a string, or a list of words with the program first",
        kinds.words,
        {"type": ["string", "array"], "pattern": r"\S", "maxLength": kinds.LONGEST_COMMAND, "minItems": 1},
    ),
]
Folder = Annotated[str, Meta(min_length=1), Kind("a folder, a string that is not empty", kinds.word)]
Variables = Annotated[
    dict[Annotated[str, Kind("the name of a variable", kinds.variable, {"pattern": "^[^=]+$"})], Word],
    Kind(
        'variables: a table, or a list of "NAME=value"',
        kinds.variables,
        {"type": ["object", "array"], "items": {"type": "string", "pattern": "^[^=]+="}},
    ),
]
_ADDRESS: Final = {"pattern": r"^(unix:.+|(\[[^\]]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5})$"}
Address = Annotated[str, Kind('an address, "host:port" or "unix:PATH"', kinds.address, _ADDRESS)]
Addresses = Annotated[
    tuple[Address, ...],
    Meta(min_length=1),
    Kind(
        'an address, "host:port" or "unix:PATH", or a list of at least one',
        kinds.one_or_many,
        {"type": ["string", "array"], **_ADDRESS},
    ),
]
Secret = Annotated[str, Kind("a key, a string", kinds.secret, {"pattern": f"^{VISIBLE}$"})]
Secrets = Annotated[tuple[Secret, ...], Kind("a list of keys")]
Endpoint = Annotated[
    str, Kind('a path such as "/health", or "none"', kinds.endpoint, {"pattern": r'^(none|/[!-"$-~]*)$'})
]
Proxy = Annotated[str, Kind("a URL, a string", json_schema={"default": DEFAULT_PROXY})]
"""None in a table is `DEFAULT_PROXY`, so that it can be seen whether a file says it."""
Url = Annotated[str, Kind("a URL, a string")]
NotNegative = Annotated[int, Meta(ge=0, le=LARGEST), Kind("a whole number of at least 0")]
Values = Annotated[dict[str, Any], Kind("a table of values that JSON can say", kinds.values)]
Path = Annotated[str, Kind('a path into the body, such as "temperature" or "chat_template_kwargs.x"', kinds.json_path)]
Paths = Annotated[
    tuple[Path, ...],
    Kind("a list of paths into the body", kinds.comma_separated, {"type": ["string", "array"]}),
]
Settings = Annotated[dict[Path, Any], Kind("a table from paths into the body to values", kinds.values)]
Modality = Annotated[Literal["text", "audio", "image"], Kind('"text", "audio" or "image"')]
Modalities = Annotated[tuple[Modality, ...], Kind('a list of "text", "audio" and "image"')]
MacroName = Annotated[str, Kind("a name of letters, digits, - and _", kinds.macro_name, {"pattern": kinds.MACRO_NAME})]
Macros = Annotated[
    dict[MacroName, Annotated[str | int | float | bool, Kind("a string, a number, true or false", kinds.scalar)]],
    Kind("a table of names and what they stand for"),
]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; its keys are its fields."""


class FiltersTable(Table, frozen=True, kw_only=True):
    """`[models.<id>.filters]`, `[peers.<id>.filters]`: what is changed of a JSON body before it is sent on."""

    strip_params: Paths = ()
    """Taken out of the body, before anything is set."""
    set_params: Settings = {}
    """Written into the body, over whatever is there."""
    set_params_by_id: Annotated[dict[Name, Settings], Kind("a table from names to tables of settings")] = {}
    """The same for requests by that name, over `set_params`; each name leads to the model, as an alias does."""


class TimeoutsTable(Table, frozen=True, kw_only=True):
    """`[models.<id>.timeouts]`: patience with a server; 0: without end."""

    connect: Duration = 30.0
    """For a connection."""
    response_header: Duration = 0.0
    """From the request sent to the head of the answer."""
    idle: Duration = 90.0
    """An unused connection is kept so long."""


class PeerTimeoutsTable(TimeoutsTable, frozen=True, kw_only=True):
    """`[peers.<id>.timeouts]`: patience with a peer; 0: without end."""

    response_header: Duration = 60.0
    """From the request sent to the head of the answer."""


class CapabilitiesTable(Table, frozen=True, kw_only=True, rename={"inputs": "in", "outputs": "out"}):
    """`[models.<id>.capabilities]`: what a model can do, for listings."""

    inputs: Modalities = ()
    """What it takes: `text`, `audio`, `image`."""
    outputs: Modalities = ()
    """What it makes: `text`, `audio`, `image`."""
    tools: Flag = False
    """It calls tools."""
    reranker: Flag = False
    """It ranks documents."""
    context: NotNegative = 0
    """Tokens that it can look at; 0: not told."""


class ServerTable(Table, frozen=True, kw_only=True):
    """`[server]`: where and how the proxy itself answers."""

    listen: Addresses = ("127.0.0.1:8080",)
    """Where it listens; port 0: any free one."""
    start_port: Port = 5800
    """First `${PORT}`; ports in use are skipped."""
    shutdown_timeout: Duration = 30.0
    """Requests that are being served may finish so long when the proxy is told to end."""
    send_timeout: Duration = 300.0
    """A client that takes nothing of its answer for so long is hung up on, and its place is free; 0: never."""
    max_body: Size = 256 * 2**20
    """Largest body of a request; above it 413."""
    api_keys: Secrets = ()
    """Keys that clients must send one of; none: open."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Kind('"debug", "info", "warning" or "error"')
    ] = "info"
    """The least important lines that are logged."""
    log_format: Annotated[Literal["text", "json"], Kind('"text" or "json"')] = "text"
    """`json` for machines."""


class SchedulerTable(Table, frozen=True, kw_only=True):
    """`[scheduler]`: how waiting requests are ranked."""

    strategy: Annotated[
        Literal["fifo+", "fifo"], Kind('"fifo+" (priorities, holds and deadlines) or "fifo" (strict order of arrival)')
    ] = "fifo+"
    """`fifo+`: overdue first, then priority; `fifo`: strict order of arrival."""


class DefaultsTable(Table, frozen=True, kw_only=True):
    """`[defaults]`: what holds for every model that does not say otherwise; a model's own key replaces it whole."""

    cmd: Words = ()
    """Starts the server; words as a POSIX shell splits them, no shell. Required, in `[defaults]` or in the model."""
    cmd_stop: Words | None = None
    """Stops the server, which runs as `${PID}`; without it: SIGTERM."""
    proxy: Proxy | None = None
    """Where the server answers."""
    check_endpoint: Endpoint = "/health"
    """Answers 200 when the server is ready; `none`: ready when started."""
    load_timeout: Duration = 120.0
    """From started to ready, at most."""
    unload_timeout: Duration = 10.0
    """Grace of every stop, then the server is killed."""
    priority: Whole = 0
    """Higher first; may be negative."""
    unload_delay: Duration = 0.0
    """The model stays so long after its last request, unless something of strictly higher priority or overdue waits."""
    min_loaded: Duration = 0.0
    """The model stays so long after loading, with the same exceptions."""
    max_wait: Duration = 300.0
    """A request that has waited so long goes before all that have not; 0: no bound."""
    concurrency: Count = 10
    """Requests served at once; more wait."""
    queue_limit: Count = 1000
    """Requests of the model that may wait; more get 429."""
    ttl: Duration = 0.0
    """Unload when idle so long; 0: never."""
    env: Variables = {}
    """Variables for the server, added to the proxy's own."""
    cwd: Folder | None = None
    """Working directory of the server; without it: where the proxy was started."""
    unlisted: Flag = False
    """Left out of `/v1/models`; it can be used all the same."""
    filters: FiltersTable = FiltersTable()
    timeouts: TimeoutsTable = TimeoutsTable()
    capabilities: CapabilitiesTable = CapabilitiesTable()


class ModelTable(DefaultsTable, frozen=True, kw_only=True):
    """`[models.<id>]`: one model server."""

    aliases: Names = ()
    """Other names that clients may use."""
    name: Text | None = None
    """For people, in listings."""
    description: Text | None = None
    """For people, in listings."""
    use_model_name: Text | None = None
    """Sent to the server as `model`, in place of the name that the client used."""
    metadata: Values = {}
    """For programs, in listings."""
    macros: Macros = {}
    """`${NAME}` in this model; each goes before a global one of its name."""


class GroupTable(Table, frozen=True, kw_only=True):
    """`[groups.<name>]`: models that share what one of them may need alone."""

    members: Annotated[Names, Meta(min_length=1), Kind("a list of at least one model id")]
    """Ids of models; one in no group is in the group `default`."""
    swap: Flag = True
    """Members displace each other."""
    exclusive: Flag = True
    """Loading a member displaces the models of every other group that is not persistent."""
    persistent: Flag = False
    """No other group displaces its members."""


class MatrixTable(Table, frozen=True, kw_only=True):
    """`[matrix]`: sets of models that may be there together, in place of groups."""

    vars: Annotated[dict[Name, Name], Kind("a table from short names to ids of models")] = {}
    """Short names for models, to be used in `sets` and `evict_costs`."""
    evict_costs: Annotated[dict[Name, Count], Kind("a table from models to whole numbers of at least 1")] = {}
    """What it costs to unload a model, by id or short name; 1 when it is not said."""
    sets: Annotated[
        dict[Name, Text], Meta(min_length=1), Kind('at least one set, such as all = "(chat | coder) & embed"')
    ]
    """Sets of models: `|` one of them, `&` together, `+name` another set."""


class SelectorTable(Table, frozen=True, kw_only=True):
    """`[selectors.<name>]`: a name that stands for one of several models."""

    strategy: Annotated[Literal["pin", "warm", "spillover"], Kind('"pin", "warm" or "spillover"')]
    """`pin`: the first; `warm`: one that is loaded; `spillover`: another one when those in use are busy."""
    targets: Annotated[Names, Meta(min_length=1), Kind("a list of at least one name of a model")]
    """Names of models, of ours or of a peer."""
    spillover: Count = 1
    """With `spillover`: requests that each target takes before one more target is put to use."""
    name: Text | None = None
    """For people, in listings."""
    description: Text | None = None
    """For people, in listings."""
    unlisted: Flag = False
    """Left out of `/v1/models`; it can be used all the same."""
    metadata: Values = {}
    """For programs, in listings."""


class ProfileTable(Table, frozen=True, kw_only=True):
    """`[profiles.<name>]`: names that lead elsewhere while the profile is the active one."""

    description: Text | None = None
    """For people."""
    pins: Annotated[
        dict[Name, Annotated[str, Kind('the name of a model, or "" for none')]],
        Meta(min_length=1),
        Kind('a table of at least one name = "where it leads"'),
    ]
    """From the name that is asked for to a model, a selector or a peer's model; `""`: it leads nowhere."""


class PeerTable(Table, frozen=True, kw_only=True):
    """`[peers.<name>]`: another proxy or provider with models of its own."""

    proxy: Url
    """Where it answers; the path of a request is appended."""
    models: Annotated[Names, Meta(min_length=1), Kind("a list of at least one model of the peer")]
    """The models that it has; they can be asked for as `name/model`."""
    api_key: Secret | None = None
    """Sent to it in place of the client's key; without it the client's own is passed on."""
    filters: FiltersTable = FiltersTable()
    timeouts: PeerTimeoutsTable = PeerTimeoutsTable()
    concurrency: NotNegative = 0
    """Requests that are sent to it at once; more wait. 0: no bound."""


class OnStartupTable(Table, frozen=True, kw_only=True):
    """`[hooks.on_startup]`: what to do first."""

    preload: Names = ()
    """Models to load when the proxy starts, where nobody has to leave for them."""


class HooksTable(Table, frozen=True, kw_only=True):
    """`[hooks]`: what to do when something happens."""

    on_startup: OnStartupTable = OnStartupTable()


class Tables(Table, frozen=True, kw_only=True):
    """A whole file."""

    server: ServerTable = ServerTable()
    scheduler: SchedulerTable = SchedulerTable()
    defaults: DefaultsTable = DefaultsTable()
    models: Annotated[dict[Name, ModelTable], Meta(min_length=1), Kind("at least one table [models.<id>] with a cmd")]
    """Model servers by id; an id with a dot or a slash is quoted: `[models."qwen2.5"]`."""
    groups: Annotated[dict[Name, GroupTable], Kind("tables [groups.<name>]")] = {}
    """Groups by name; a model in none is in the group `default`: swap, exclusive, not persistent."""
    matrix: MatrixTable | None = None
    hooks: HooksTable = HooksTable()
    selectors: Annotated[dict[Name, SelectorTable], Kind("tables [selectors.<name>]")] = {}
    """Names that stand for one of several models."""
    profiles: Annotated[dict[Name, ProfileTable], Kind("tables [profiles.<name>]")] = {}
    """Sets of names that lead elsewhere, one of which can be active."""
    peers: Annotated[dict[Name, PeerTable], Kind("tables [peers.<name>]")] = {}
    """Other proxies and providers."""
    macros: Macros = {}
    """`${NAME}` in any string of the file."""
