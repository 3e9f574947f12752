"""Versions on the disk, in the folder `fleet` of the state directory.

state.json                 what runs, replaced whole            trusted/NAME.pub    whose versions may run here
reported.json              what was said of it last
versions/v7-<digest>/      manifest.json, manifest.sig, files   incoming/           what was handed in: bundles,
versions/local-<digest>/   the same, made by a local override                       files/<sha256>, files/<sha256>.part

A version is written beside its place, synced, and renamed into it: it is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.control.deploy import manifest as manifests
from agent.control.deploy import state as states
from agent.control.deploy.manifest import CHUNK_BYTES, Bundle, File, Manifest
from agent.control.deploy.state import Deployment
from agent.runtime.pki import making

log = logging.getLogger(__name__)

SIGNATURE = "manifest.sig"
PART = ".part"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder `fleet` of a state directory."""

    folder: Path

    @property
    def versions(self) -> Path:
        """One folder a version."""
        return self.folder / "versions"

    @property
    def incoming(self) -> Path:
        """Where bundles are handed in."""
        return self.folder / "incoming"

    @property
    def trusted(self) -> Path:
        """Public keys of those whose versions may run here."""
        return self.folder / "trusted"

    def make(self) -> None:
        """Its folders, readable for the group, of whom the state directory belongs to. OSError."""
        for path in (self.folder, self.versions, self.incoming, self.incoming / "files", self.trusted):
            if not path.exists():
                making.folder(path)
                path.chmod(0o750)

    def state(self) -> Deployment:
        """Where this gateway stands. OSError; ValueError where the file is damaged."""
        try:
            return states.read((self.folder / "state.json").read_bytes())
        except FileNotFoundError:
            return Deployment()

    def state_or_new(self) -> Deployment:
        """The same for the daemon: a damaged file is set aside, and it starts with its own file."""
        path = self.folder / "state.json"
        try:
            return self.state()
        except ValueError as error:
            log.error("%s: %s; set aside as state.json.corrupt", path, error)
            path.replace(path.with_suffix(".json.corrupt"))
            return states.noted(Deployment(reason=str(error)), f"state.json was damaged: {error}")
        except OSError as error:
            log.error("%s: %s", path, error.strerror)
            return Deployment(reason=str(error))

    def keep(self, now: Deployment) -> None:
        """Write where it stands, whole or not at all, and lastingly. OSError."""
        making.put(self.folder / "state.json", states.written(now), 0o640)
        _sync(self.folder)

    def note(self, report: Mapping[str, Any]) -> None:
        """Leave what the gateway says of itself for who asks on this machine. OSError."""
        making.put(self.folder / "reported.json", json.dumps(report, indent=1).encode(), 0o640)

    def report(self) -> Mapping[str, Any] | None:
        """What the daemon said last; None where none has run yet. OSError."""
        try:
            found: Mapping[str, Any] = json.loads((self.folder / "reported.json").read_bytes())
        except FileNotFoundError:
            return None
        return found

    def configuration(self, name: str) -> Path:
        """The file of a version that the daemon runs. OSError; ValueError where the version is not whole."""
        manifest = self.manifest(name)
        for file in manifest.files:
            if _hash(self.versions / name / file.path) != file.sha256:
                raise ValueError(f"{file.path} of {name} is not what it was when it was staged")
        return self.versions / name / manifest.configuration

    def manifest(self, name: str) -> Manifest:
        """The manifest of a version. OSError; ValueError where it is not the one that the folder is named after."""
        text = (self.versions / name / manifests.NAME).read_text()
        if not name.endswith("-" + hashlib.sha256(text.encode()).hexdigest()[:16]):
            raise ValueError(f"the manifest of {name} is not what it was when it was staged")
        return manifests.read(text)

    def edited(self, name: str) -> list[str]:
        """Files of a version that are not what they were when it was staged."""
        try:
            files = self.manifest(name).files
        except (OSError, ValueError) as error:
            return [str(error)]
        return [file.path for file in files if _hash(self.versions / name / file.path) != file.sha256]

    def missing(self, manifest: Manifest, given: Mapping[str, bytes]) -> list[File]:
        """Files of a version that are neither given nor here."""
        there = self._there()
        return [file for file in manifest.files if file.sha256 not in given and file.sha256 not in there]

    def stage(self, manifest: Manifest, bundle: Bundle, prefix: str = "") -> str:
        """Put a version into its folder, whose name is returned. OSError; ValueError where a file is not what it says.

        `prefix`: instead of its number (`local`).
        """
        name = f"{prefix}-{bundle.digest[:16]}" if prefix else states.folder_of(manifest, bundle.digest)
        target, fresh = self.versions / name, self.versions / f".new-{name}"
        if target.exists():
            return name
        there = self._there()
        shutil.rmtree(fresh, ignore_errors=True)
        for path, content in {manifests.NAME: bundle.text.encode(), SIGNATURE: bundle.signature}.items():
            _put(fresh / path, content)
        for file in manifest.files:
            content = bundle.files[file.sha256] if file.sha256 in bundle.files else there[file.sha256].read_bytes()
            if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
                raise ValueError(f"{file.path}: what came is not what the manifest says")
            _put(fresh / file.path, content)
        for folder in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            _sync(folder)
        fresh.rename(target)
        _sync(self.versions)
        return name

    def tidy(self, needed: Iterable[str]) -> None:
        """Remove versions that nobody needs, and what came for them. What cannot be removed now is removed later."""
        keep = set(needed)
        for folder in self.versions.iterdir():
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)
        for path in (self.incoming / "files").iterdir():
            path.unlink(missing_ok=True)

    def put_chunk(self, file: File, number: int, content: bytes) -> None:
        """A piece of a file at its place. OSError; ValueError where it is none of this file."""
        size = min(CHUNK_BYTES, file.size - number * CHUNK_BYTES)
        if not 0 <= number < file.chunks or len(content) != size:
            raise ValueError(f"chunk {number} of {file.path} has {len(content)} bytes, expected {max(size, 0)}")
        part = self.incoming / "files" / (file.sha256 + PART)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.pwrite(descriptor, content, number * CHUNK_BYTES)
        finally:
            os.close(descriptor)

    def put_together(self, file: File) -> None:
        """All pieces are there: it is a file. OSError; ValueError, and they are gone, where it is another one."""
        path = self.incoming / "files" / file.sha256
        part = path.with_name(path.name + PART)
        if _hash(part) != file.sha256:
            part.unlink(missing_ok=True)
            raise ValueError(f"{file.path}: what came is not what the manifest says")
        part.replace(path)

    def _there(self) -> dict[str, Path]:
        """By SHA-256, files that are here already: those that came alone, and those of other versions."""
        found = {path.name: path for path in _entries(self.incoming / "files") if path.suffix != PART}
        for folder in _entries(self.versions):
            try:
                files = self.manifest(folder.name).files
            except (OSError, ValueError):
                continue
            found |= {f.sha256: folder / f.path for f in files if _hash(folder / f.path) == f.sha256}
        return found


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []


def _hash(path: Path) -> str:
    """SHA-256 of a file, "" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    making.put(path, content, 0o640)


def _sync(folder: Path) -> None:
    """What was renamed into a folder is there after a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
