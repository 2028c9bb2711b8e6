"""The page about the configuration says what the code says: keys, types, defaults, examples, codes of errors."""

from __future__ import annotations

import re
import tomllib
import typing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import FieldInfo, fields

from proxy.config import schema
from proxy.config.kinds import unpack
from proxy.config.reading import Reader
from proxy.config.schema import (
    CapabilitiesTable,
    DefaultsTable,
    FiltersTable,
    GroupTable,
    MatrixTable,
    ModelTable,
    OnStartupTable,
    PeerTable,
    ProfileTable,
    SchedulerTable,
    SelectorTable,
    ServerTable,
    Table,
    TimeoutsTable,
)
from states.effects import RefusalCode

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()
SECTIONS = {
    "Server": ServerTable,
    "Scheduler": SchedulerTable,
    "A model's server": ModelTable,
    "Scheduling of a model": ModelTable,
    "Names of a model": ModelTable,
    "Filters": FiltersTable,
    "Timeouts": TimeoutsTable,
    "Capabilities": CapabilitiesTable,
    "Groups": GroupTable,
    "Matrix": MatrixTable,
    "Selectors": SelectorTable,
    "Profiles": ProfileTable,
    "Peers": PeerTable,
    "Hooks": OnStartupTable,
}
REQUIRED = {
    GroupTable: {"members": ["a"]},
    MatrixTable: {"sets": {"s": "a"}},
    SelectorTable: {"strategy": "pin", "targets": ["a"]},
    ProfileTable: {"pins": {"a": "b"}},
    PeerTable: {"proxy": "http://x", "models": ["a"]},
}
"""What a table has to say for one of its keys to be read."""
TYPES = {
    schema.Addresses: "addresses",
    schema.Count: "count",
    schema.Duration: "duration",
    schema.Endpoint: "path",
    schema.Flag: "flag",
    schema.Folder: "folder",
    schema.Names: "names",
    schema.Port: "port",
    schema.Proxy: "URL",
    schema.Secrets: "keys",
    schema.Size: "size",
    schema.Text: "text",
    schema.Variables: "variables",
    schema.Macros: "macros",
    schema.Modalities: "modalities",
    schema.NotNegative: "tokens",
    schema.Paths: "paths",
    schema.Secret: "key",
    schema.Settings: "settings",
    schema.Url: "URL",
    schema.Values: "values",
    schema.Whole: "number",
    schema.Words: "command",
}
SAID_IN_PLACE = {
    "set_params_by_id": "settings by name",
    "vars": "short names",
    "evict_costs": "costs",
    "sets": "sets",
    "pins": "pins",
    "members": "names",
    "targets": "names",
    "models": "names",
}
"""Types of keys that say for themselves what is expected of them."""


class Row(typing.NamedTuple):
    """What the page says of a key."""

    table: type[Table]
    key: str
    meaning: str
    type: str
    default: str
    example: str

    def __str__(self) -> str:
        return f"{self.table.__name__}.{self.key}"

    @property
    def field(self) -> FieldInfo:
        table = schema.PeerTimeoutsTable if self.is_of_a_peers_timeouts else self.table
        [found] = [field for field in fields(table) if field.encode_name == self.key]
        return found

    @property
    def is_of_a_peers_timeouts(self) -> bool:
        return self.table is PeerTable and self.key == "response_header"

    def read(self, written: str) -> object:
        """The value that a line of a file means."""
        reader = Reader()
        table = schema.PeerTimeoutsTable if self.is_of_a_peers_timeouts else self.table
        others = {} if self.is_of_a_peers_timeouts else REQUIRED.get(self.table, {})
        read = reader.read_table(table, {**others, **tomllib.loads(written)}, ())
        assert reader.findings == []
        return msgspec.convert(read[self.key], self.field.type)


def section(title: str, level: str = "###") -> str:
    """The text below a heading, up to the next one that is not below it."""
    found = re.search(
        rf"^{level} {re.escape(title)}\n(.*?)(?=^#{{2,{len(level)}}} |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


def cells(text: str) -> list[list[str]]:
    """The rows of every table, without their heads."""
    tables = re.split(r"\n(?!\|)", text)
    lines = [line for table in tables for line in re.findall(r"^\|.*$", table, re.MULTILINE)[2:]]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r" \| ", line.strip("| "))] for line in lines]


def code(cell: str) -> str:
    assert re.fullmatch(r"`[^`]+`", cell), cell
    return cell.strip("`")


ROWS = [
    Row(table, code(key), meaning, type_, default, code(example))
    for title, table in SECTIONS.items()
    for head, meaning, default, example in cells(section(title))
    for key, type_ in [head.split("<br>")]
]


def test_the_page_has_every_key_once_and_no_other() -> None:
    keys = [
        f"{table.__name__}.{field.encode_name}"
        for table in dict.fromkeys(SECTIONS.values())
        for field in fields(table)
        if not isinstance(field.default, Table)  # those have a section of their own
    ]
    assert sorted(map(str, ROWS)) == sorted([*keys, "PeerTable.response_header"])


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_page_says_of_which_type_a_key_is(row: Row) -> None:
    base, kind, _ = unpack(row.field.type)
    words = {unpack(each)[1].expected: word for each, word in TYPES.items()}
    is_choice = typing.get_origin(base) is typing.Literal
    assert row.type == ("choice" if is_choice else words.get(kind.expected) or SAID_IN_PLACE[row.key])
    assert f"\n| {row.type} |" in section("Types", "##")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_page_says_what_holds_when_a_key_is_not_there(row: Row) -> None:
    field = row.field
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    match row.default:
        case "required":
            assert field.required or (row.key, default) == ("cmd", ())
        case "none":
            assert default is None
        case written:
            read = row.read(f"{row.key} = {code(written)}")
            assert read == (schema.DEFAULT_PROXY if row.key == "proxy" else default)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_example_of_a_key_is_right_and_changes_something(row: Row) -> None:
    assert row.read(f"{row.key} = {row.example}") != row.field.default


@pytest.mark.parametrize("row", [row for row in ROWS if row.type == "choice"], ids=str)
def test_the_page_names_the_choices_that_there_are(row: Row) -> None:
    assert set(re.findall(r'`"([^"`]+)"`', row.meaning)) == set(typing.get_args(unpack(row.field.type)[0]))


def test_the_page_says_which_keys_defaults_cannot_have() -> None:
    [said] = re.findall(r"All keys of a model may stand in\n`\[defaults\]`, but for (.*?), which", PAGE, re.DOTALL)
    names = {field.name for field in fields(ModelTable)} - {field.name for field in fields(DefaultsTable)}
    assert set(re.findall(r"`(\w+)`", said)) == names


def test_the_page_has_every_code_of_an_error_and_no_other() -> None:
    sources = [path.read_text() for path in (ROOT / "proxy").glob("*.py") if not path.name.startswith("demo")]
    codes = {found for source in sources for found in re.findall(r'\bcode="(\w+)"', source)}
    codes |= set(re.findall(r'\d{3}: "(\w+)"', (ROOT / "proxy" / "protocol_errors.py").read_text()))
    rows = cells(section("Statuses", "##"))
    said = {found for row in rows for found in re.findall(r"`(\w+)`", row[0])} | {"not_found"}
    assert said == codes | {code.value for code in RefusalCode}
