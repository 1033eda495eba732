"""Open a table of images: a Parquet file, or Arrow as ``datasets.save_to_disk`` writes it."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

ARROW = ".arrow"
TABLES = (".parquet", ARROW)
"""Suffixes of files whose rows are images."""


@runtime_checkable
class TableFile(Protocol):
    """A table that is read column by column, whole or one group of rows at a time."""

    schema: Any
    """As pyarrow has it."""
    group_sizes: list[int]
    """Number of rows of each group."""

    def read(self, column: str) -> Any:
        """Return a column, or a member of a struct as a struct of it alone."""
        ...

    def read_group(self, group: int, column: str) -> Any:
        """Return the same of one group of rows."""
        ...


def open_table(path: Path) -> TableFile:
    """Open a table by its suffix.

    Raises:
        pyarrow.ArrowException, OSError: it cannot be read.
    """
    return _Arrow(path) if path.suffix.lower() == ARROW else _Parquet(path)


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path, memory_map=True)
        self.schema = self._file.schema_arrow
        about = self._file.metadata
        self.group_sizes = [about.row_group(n).num_rows for n in range(about.num_row_groups)]

    def read(self, column: str) -> Any:
        return self._file.read(columns=[column]).column(0)

    def read_group(self, group: int, column: str) -> Any:
        return self._file.read_row_group(group, columns=[column]).column(0)


class _Arrow:
    """An IPC stream. Its rows stay in the file, which is mapped into memory."""

    def __init__(self, path: Path) -> None:
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        self.schema = table.schema
        self._table, self._batches = table, table.to_batches()
        self.group_sizes = [batch.num_rows for batch in self._batches]

    def read(self, column: str) -> Any:
        return self._table.column(self._name(column))

    def read_group(self, group: int, column: str) -> Any:
        return self._batches[group].column(self._name(column))

    def _name(self, column: str) -> str:
        """Return the column itself, which for a member of a struct is the struct."""
        return column if column in self.schema.names else column.rpartition(".")[0]
