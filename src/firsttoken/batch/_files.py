"""Input files, read row by row: JSON lines, CSV and Parquet."""

import csv
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import IO, Final, Protocol, cast

import msgspec

from firsttoken._json import as_object
from firsttoken.batch._rows import InputError, InvalidRow, Value
from firsttoken.errors import ConfigurationError

_decode = msgspec.json.Decoder().decode
_QUOTED_BYTES: Final = 80
_PARQUET_ROWS: Final = 1024


def read_file(path: Path) -> "Iterator[tuple[int, Value | InvalidRow]]":
    """The rows of a file, numbered from 1 by their lines, or as rows of a table.

    Args:
        path: a file whose name ends in .csv, .tsv or .parquet; any other has a JSON object on each line.

    Raises:
        InputError: it is not such a file.
        ConfigurationError: it is a Parquet file, and pyarrow is not installed.
        OSError: it can't be read.
    """
    match path.suffix.lower():
        case ".csv":
            return _read_csv(path, ",")
        case ".tsv":
            return _read_csv(path, "\t")
        case ".parquet":
            return _read_parquet(path)
        case _:
            return _read_lines(path)


def _read_lines(path: Path) -> "Iterator[tuple[int, Value | InvalidRow]]":
    with path.open("rb") as file:
        _skip_bom(file)
        for number, line in enumerate(file, 1):
            if not line.isspace():
                yield number, _parse_line(line, number)


def _skip_bom(file: IO[bytes]) -> None:
    if file.read(3) != b"\xef\xbb\xbf":
        file.seek(0)


def _parse_line(line: bytes, number: int) -> "Value | InvalidRow":
    try:
        value = _parse_json(line)
    except (ValueError, RecursionError) as error:
        excerpt = line[:_QUOTED_BYTES].decode("utf-8", "replace").rstrip("\r\n")
        return InvalidRow(f"line {number}: invalid JSON ({error}): {excerpt!r}")
    fields = as_object(value)
    if fields is None:
        return InvalidRow(f"line {number}: a row must be a JSON object, not {type(value).__name__}")
    return fields


def _parse_json(line: bytes) -> object:
    try:
        return _decode(line)
    except UnicodeDecodeError:
        raise
    except ValueError:
        return json.loads(line)  # which takes lone surrogates and NaN


def _read_csv(path: Path, delimiter: str) -> "Iterator[tuple[int, Value | InvalidRow]]":
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, restkey="")
        try:
            for number, row in enumerate(reader, 1):
                if "" in row or None in row.values():
                    yield number, InvalidRow(f"row {number}: expected {len(reader.fieldnames or ())} columns")
                else:
                    yield number, dict(row)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text: {error.reason}") from error
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from error


class _Batch(Protocol):
    def to_pylist(self) -> "list[dict[str, object]]": ...


class _ParquetFile(Protocol):
    def iter_batches(self, batch_size: int) -> Iterable[_Batch]: ...


class _ParquetModule(Protocol):
    """What is used of pyarrow, which has no types."""

    def ParquetFile(self, source: IO[bytes]) -> _ParquetFile: ...  # noqa: N802 - pyarrow's name


def _read_parquet(path: Path) -> "Iterator[tuple[int, Value | InvalidRow]]":
    try:
        parquet: _ParquetModule = cast("_ParquetModule", import_module("pyarrow.parquet"))
    except ModuleNotFoundError as error:
        raise ConfigurationError("Parquet files need the package pyarrow", hint="pip install pyarrow") from error
    with path.open("rb") as source:
        try:
            file = parquet.ParquetFile(source)
        except ValueError as error:  # pyarrow.ArrowInvalid is one
            raise InputError(f"{path} is not a Parquet file: {error}") from error
        batches = file.iter_batches(batch_size=_PARQUET_ROWS)
        yield from enumerate(itertools.chain.from_iterable(batch.to_pylist() for batch in batches), 1)
