"""On which line of a TOML text each table, key and array element stands, which `tomllib` does not tell.

A scan of a text that `tomllib` has found right: so it looks for where things begin and end, and judges nothing. What a
value means is never looked at.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""The way to a value from the top: keys, and positions in arrays."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^\s,\]}#]+(?: [0-9][^\s,\]}#]*)?")  # a date and a time may have a space between them
_STRINGS: Final = (
    ('"""', re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''.*?'{3,5}", re.DOTALL)),
    ('"', re.compile(r'"(?:[^"\\\n]|\\.)*"')),
    ("'", re.compile(r"'[^'\n]*'")),
)
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


def lines_of(text: str) -> Mapping[Path, int]:
    """Return the line, from 1, of everything in a TOML text that is right.

    A table has the line of its first header or, without one, of the first key that makes it; a key and an array element
    the line on which it begins.
    """
    return _Scan(text).run()


class _Scan:
    def __init__(self, text: str) -> None:
        self._text: Final = text
        self._at = 0
        self._line = 1
        self._counted = 0  # up to here, lines have been counted
        self._lines: Final[dict[Path, int]] = {}
        self._tables: Final[dict[Path, int]] = {}  # elements so far of each array of tables

    def run(self) -> Mapping[Path, int]:
        table: Path = ()
        while self._skip(_BLANK) < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._header(2, is_array=True)
            elif self._text.startswith("[", self._at):
                table = self._header(1, is_array=False)
            else:
                self._pair(table)
        return self._lines

    def _header(self, brackets: int, *, is_array: bool) -> Path:
        self._at += brackets
        keys = self._keys()
        self._at += brackets
        path: Path = ()
        for index, key in enumerate(keys):
            path = (*path, key)
            self._note(path)
            if is_array and index == len(keys) - 1:
                self._tables[path] = self._tables.get(path, -1) + 1
            if path in self._tables:
                path = (*path, self._tables[path])
                self._note(path)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        """The parts of a dotted key, and the spaces behind it."""
        keys = []
        while True:
            self._skip(_SPACE)
            keys.append(self._key())
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _key(self) -> str:
        begun = self._at
        if self._text[begun] in "\"'":
            self._string()
            quoted = self._text[begun + 1 : self._at - 1]
            return _ESCAPE.sub(_unescaped, quoted) if self._text[begun] == '"' else quoted
        self._skip(_BARE_KEY)
        return self._text[begun : self._at]

    def _value(self, path: Path) -> None:
        match self._text[self._at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._string()
            case _:
                self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._text[self._skip(_BLANK)] != "]":
            element = (*path, index)
            self._note(element)
            self._value(element)
            if self._text[self._skip(_BLANK)] == ",":
                self._at += 1
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._text[self._skip(_BLANK)] != "}":
            self._pair(path)
            if self._text[self._skip(_BLANK)] == ",":
                self._at += 1
        self._at += 1

    def _string(self) -> None:
        for opening, pattern in _STRINGS:
            if self._text.startswith(opening, self._at):
                self._skip(pattern)
                return

    def _skip(self, pattern: re.Pattern[str]) -> int:
        """Go behind what matches here; return where that is."""
        found = pattern.match(self._text, self._at)
        assert found is not None, "the text is right"
        self._at = found.end()
        return self._at

    def _note(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        self._lines.setdefault(path, self._line)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if code[0] in "uU" else _ESCAPED.get(code, code)
