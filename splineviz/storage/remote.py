"""Remote copies: a directory of results kept at a URL as well, of any kind that fsspec knows (s3://, gs://, file://, ...)

    out/rows/<name>.json      --keep-->   URL/rows/<name>.json      after its partition, for which it vouches
    out/partitions/<name>.npz <--fetch--  URL/partitions/...        what is not here is brought, not made again
    out/manifest.json, ...    --finish->  URL/manifest.json         after all that it lists

Work is done in a directory, and only its results go to the store, by the process that began the sweep. An object store
shows a file when its last byte has come; where that is not so, a torn file is known by its digest, as it is on a disk.
Nothing that a store says is taken for a name: names come from the list of jobs. This file knows no jobs.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from splineviz.errors import JobError
from splineviz.storage import files, provenance


class Store:
    """What lies at a URL, and what is the same here. Every call raises JobError when the store does not answer.

    url: as `fsspec.core.url_to_fs` takes it; credentials come from where the file system looks for them.
    """

    def __init__(self, url: str, out: Path):
        self.url, self.out = url, out
        self._rows: dict[str, bytes] = {}
        with self._answering("opened"):
            try:
                from fsspec.core import url_to_fs
            except ImportError as error:
                raise JobError("store: expected the package fsspec, got none; pip install 'splineviz[cluster]'.") from error
            self._fs, self._root = url_to_fs(url)
        if set(self._root) & set("*?["):  # which fsspec takes for patterns
            raise JobError(f"store: expected a URL without *, ? and [, got {url}; choose another.")

    def fetch(self, names: Sequence[str], here: Container[str]) -> set[str]:
        """Bring the results that the store has and that are not here; returns their names.

        Whether they are whole their rows tell, as they do on a disk.
        """
        with self._answering("read"):
            found = self._read([f"rows/{name}.json" for name in names])
        self._rows = {name: row for name in names if (row := found.get(f"rows/{name}.json")) is not None}
        brought = {name for name in self._rows if name not in here}
        for name in sorted(brought):
            self._bring(name)
        return brought

    def keep(self, name: str) -> None:
        """Put a result that was just made, or found, unless the store has it."""
        row = (self.out / "rows" / f"{name}.json").read_bytes()
        if self._rows.get(name) != row:
            if (self.out / "partitions" / f"{name}.npz").is_file():
                self.put(f"partitions/{name}.npz")
            self.put(f"rows/{name}.json")
            self._rows[name] = row

    def put(self, name: str) -> None:
        """Put one file of the directory."""
        here, there = str(self.out / name), f"{self._root}/{name}"
        with self._answering("written"):
            try:
                self._fs.put_file(here, there)
            except FileNotFoundError:  # a file system with folders; object stores have none
                for folder in (self._root, there.rpartition("/")[0]):
                    if "/" in folder.strip("/"):  # a bucket that is not there is a typing error
                        with suppress(FileExistsError):
                            self._fs.mkdir(folder, create_parents=False)
                self._fs.put_file(here, there)

    def finish(self, names: Iterable[str]) -> None:
        """Put the results that the store does not have, then what else the manifest lists, and the manifest last."""
        for name in names:
            self.keep(name)
        here = files.read_sealed(self.out / provenance.NAME)["files"]
        there = self._listed()
        for name, digest in here.items():
            if not name.startswith("rows/") and there.get(name) != digest:
                self.put(name)
        self.put(provenance.NAME)

    # ---- one file -------------------------------------------------------------------------------------

    def _bring(self, name: str) -> None:
        row = self.out / "rows" / f"{name}.json"
        row.unlink(missing_ok=True)  # an older row must not vouch for the new partition
        self._get(f"partitions/{name}.npz")
        self._get(f"churn/{name}.json")
        files.write(row, lambda stream: stream.write(self._rows[name]))

    def _listed(self) -> dict[str, Any]:
        with self._answering("read"):
            content = self._read([provenance.NAME]).get(provenance.NAME, b"{}")
        try:
            return dict(json.loads(content)["files"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return {}  # none so far, or torn: everything is put anew

    def _read(self, names: Sequence[str]) -> dict[str, bytes]:
        """The content of those files that are there; many at a time, where the file system can."""
        paths = {f"{self._root}/{name}": name for name in names}
        found = self._fs.cat(list(paths), on_error="return") if paths else {}
        for answer in found.values():
            if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                raise answer
        return {paths[path]: content for path, content in found.items() if isinstance(content, bytes)}

    def _get(self, name: str) -> None:
        with self._answering("read"), suppress(FileNotFoundError):  # rows may be kept alone; else the row's digest tells
            with files.whole(self.out / name) as temporary:
                self._fs.get_file(f"{self._root}/{name}", str(temporary))

    @contextmanager
    def _answering(self, what: str) -> Iterator[None]:
        try:
            yield
        except JobError:
            raise
        except Exception as error:  # every file system has exceptions of its own
            said = f"{type(error).__name__}: {error}"
            raise JobError(
                f"store: expected {self.url} to be {what}, got {said}; the results are in {self.out}, start again."
            ) from error
