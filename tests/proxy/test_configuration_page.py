"""The page about the configuration names the keys that there are."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import fields

from proxy.config import load_config
from proxy.config.schema import GroupTable, ModelTable, OnStartupTable, SchedulerTable, ServerTable

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
TABLES = {
    "server": ServerTable,
    "scheduler": SchedulerTable,
    "models.<id>": ModelTable,
    "groups.<name>": GroupTable,
    "hooks.on_startup": OnStartupTable,
}


def test_the_page_has_every_key_and_no_other() -> None:
    keys = {f"{table}.{field.name}" for table, fields_of in TABLES.items() for field in fields(fields_of)}
    rows = set(re.findall(r"^\| `([\w.<>]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert {row for row in rows if "." in row} == keys


def test_the_example_on_the_page_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file = tmp_path / "config.toml"
    file.write_text(example)
    assert load_config(file).settings.models.keys() == {"explorer", "coder"}
