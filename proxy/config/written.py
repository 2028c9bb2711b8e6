"""One file as it is written: its values in the words of our tables, and where each of them stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .files import decoded, unusable
from .mistakes import ConfigError, Finding, KeyPath, Mistake
from .nesting import MOST_LEVELS, levels, too_deep_at
from .schema import GroupTable, ModelTable
from .spelling import move_unquoted_ids
from .syntax import advice

if TYPE_CHECKING:
    from .translation import Translation


@dataclass(slots=True)
class Written:
    """A file."""

    file: Path
    text: str
    value: dict[str, object]
    moved: list[tuple[Finding, KeyPath, KeyPath]] = field(default_factory=list)
    """Tables that a dot in their name had split: what is wrong, the path that was meant, the path that was written."""
    translation: Translation | None = None
    """None: it is TOML, and in our words already."""

    def located(self, findings: Iterable[Finding]) -> list[Mistake]:
        """Return findings about values, and what is wrong with how the file is written, each with its place.

        What nothing says has the place of the nearest thing above it.
        """
        if self.translation is not None:
            from .yaml_places import locate_yaml  # noqa: PLC0415 - only whose file is YAML waits for it

            return locate_yaml(findings, self.translation, self.text, str(self.file))
        written = [*(finding for finding, _, _ in self.moved), *map(self._as_written, findings)]
        if not written:
            return []
        from .positions import locate  # noqa: PLC0415 - only who made a mistake waits for the second parser

        return [replace(mistake, file=str(self.file)) for mistake in locate(dict.fromkeys(written), self.text)]

    def located_notes(self) -> list[Mistake]:
        """Return what is not carried over from a llama-swap file."""
        if self.translation is None:
            return []
        from .yaml_places import locate_notes  # noqa: PLC0415

        return locate_notes(self.translation, self.text, str(self.file))

    def _as_written(self, finding: Finding) -> Finding:
        for _, meant, as_written in self.moved:
            if finding.path[: len(meant)] == meant:
                return replace(finding, path=(*as_written, *finding.path[len(meant) :]))
        return finding


def read_written(
    file: Path, content: bytes, environment: Mapping[str, str], elsewhere: frozenset[str] = frozenset()
) -> Written:
    """Return what a file says; its suffix says whether it is YAML.

    Args:
        file: its name.
        content: what is in it.
        environment: what `${env.NAME}` stands for where it has to be known at once.
        elsewhere: names of models in other files that are read with this one.

    Raises:
        ConfigError: it is not TOML, or not YAML.
    """
    text = decoded(file, content)
    if file.suffix.lower() in {".yaml", ".yml"}:
        return _from_yaml(file, text, environment, elsewhere)
    written = Written(file=file, text=text, value=_parse(file, text))
    for top, table in (("models", ModelTable), ("groups", GroupTable)):
        entries = written.value.get(top)
        if isinstance(entries, dict):
            written.moved += move_unquoted_ids(entries, top, table.__struct_fields__)
    return written


def _from_yaml(file: Path, text: str, environment: Mapping[str, str], elsewhere: frozenset[str]) -> Written:
    from .llama_swap import translate  # noqa: PLC0415 - only whose file is YAML waits for it
    from .yaml_tree import LARGEST_BYTES, YamlMistake, read_yaml  # noqa: PLC0415

    if len(text) > LARGEST_BYTES:
        raise unusable(file, f"larger than {LARGEST_BYTES // 2**10} KiB: this is no llama-swap configuration")
    try:
        tree = read_yaml(text)
    except YamlMistake as error:
        lines = text.split("\n")
        source = lines[error.line - 1].rstrip("\r") if error.line <= len(lines) else ""
        mistake = Mistake(message=error.message, line=error.line, column=error.column, source=source)
        raise ConfigError(str(file), [mistake]) from None
    translation = translate(tree, environment, elsewhere)
    return Written(file=file, text=text, value=translation.value, translation=translation)


def _parse(file: Path, text: str) -> dict[str, object]:
    if (offset := too_deep_at(text)) is not None:
        raise ConfigError(str(file), [_too_deep(text, offset)])
    try:
        written = tomllib.loads(text)
    except ValueError as error:
        # Before 3.14 the place is only in the message; an integer of too many digits has none.
        what, _, place = str(error).partition(" (at ")
        lines = text.split("\n")
        found = re.match(r"line (\d+), column (\d+)\)", place)
        line = int(found[1]) if found else len(lines) if place else None
        column = int(found[2]) if found else len(lines[-1]) + 1 if place else None
        source = lines[line - 1].rstrip("\r") if line is not None else ""
        message = f"not TOML: {what}{advice(what, source)}"
        raise ConfigError(str(file), [Mistake(message=message, line=line, column=column, source=source)]) from None
    if levels(written) > MOST_LEVELS:
        raise unusable(file, "nested too deeply")
    return written


def _too_deep(text: str, offset: int) -> Mistake:
    start = text.rfind("\n", 0, offset) + 1
    source = text[start:].partition("\n")[0].rstrip("\r")
    line = text.count("\n", 0, offset) + 1
    return Mistake(message="nested too deeply", line=line, column=offset - start + 1, source=source)
