"""Where in a llama-swap file a key or a value of ours stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .mistakes import Finding, KeyPath, Mistake, dotted
from .translation import Translation


def locate_yaml(findings: Iterable[Finding], translation: Translation, text: str, file: str) -> list[Mistake]:
    """Return findings about our words, and those of the translation itself, with their places in the YAML."""
    lines = text.split("\n")
    ours = [replace(finding, path=_source(finding.path, translation)) for finding in findings]
    return [_mistake(finding, translation, lines, file) for finding in dict.fromkeys([*translation.findings, *ours])]


def locate_notes(translation: Translation, text: str, file: str) -> list[Mistake]:
    """Return the notes of the translation with their places."""
    lines = text.split("\n")
    findings = [Finding(path=note.path, message=note.message, at_key=True) for note in translation.notes]
    return [_mistake(finding, translation, lines, file) for finding in findings]


def _source(path: KeyPath, translation: Translation) -> KeyPath:
    for length in range(len(path), 0, -1):
        source = translation.sources.get(path[:length])
        if source is not None:
            return (*source, *path[length:])
    return path


def _mistake(finding: Finding, translation: Translation, lines: list[str], file: str) -> Mistake:
    name = dotted(finding.path)
    message = f"{name}: {finding.message}" if name else finding.message
    path = finding.path
    while path and translation.tree.place(path) is None:
        path = path[:-1]
    place = translation.tree.place(path)
    if place is None:
        return Mistake(message=message, line=1, column=1, file=file)
    mark = place.key if finding.at_key or path != finding.path else place.value
    source = lines[mark.line].rstrip("\r") if mark.line < len(lines) else ""
    ends_here = mark is place.value and place.end.line == mark.line
    length = place.end.column - mark.column if ends_here else len(str(path[-1])) if path else 1
    return Mistake(
        message=message, line=mark.line + 1, column=mark.column + 1, source=source, length=max(1, length), file=file
    )
