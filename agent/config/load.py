"""A configuration file and all that it names, read and checked: everything right, or every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config import consistency, derived, endpoints, files, modelinputs, settings, yaml
from agent.config.effective import Effective, TagLists, effective
from agent.config.endpoints import Endpoint, Places
from agent.config.modelfiles import Admission, LoadedModel, ModelFiles
from agent.config.problems import ConfigErrors, Mark, Problem, hint, problem
from agent.config.reading import read
from agent.config.schema import Asset, Class, File, Gateway, Journal, TagRow
from agent.config.tree import At, Tree
from agent.core.nouns import EMPTY, Tag
from agent.engine.asset import SHADOW

# One object, so that tags without a range compare equal: NaN is equal to itself only by identity.
NAN = float("nan")
# Linux: sizeof(sockaddr_un.sun_path) less the closing NUL.
LONGEST_SOCKET = 107


@dataclass(frozen=True, slots=True)
class LoadedAsset:
    """One asset with what holds for it. `sources`: the gateway's source id for each source name of its class.
    `refused`: models that are absent, and why."""

    asset: Asset
    kind: Class
    rows: tuple[TagRow, ...]
    tag_tree: Tree
    sources: Mapping[str, str]
    models: tuple[LoadedModel, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    def source(self, row: TagRow) -> str:
        """The id of the source that a tag is read from; "" for one that is derived."""
        return "" if row.expression else self.sources[row.source or next(iter(self.sources))]

    def tag(self, row: TagRow) -> Tag:
        """A row as the noun."""
        return Tag(
            id=f"{self.asset.id}/{row.name}",
            address=row.address,
            type=row.type,
            order=row.order,
            scan_s=row.scan or self.asset.period_s,
            phase_s=row.phase,
            scale=row.scale,
            offset=row.offset,
            eu_lo=NAN if row.eu_lo is None else row.eu_lo,
            eu_hi=NAN if row.eu_hi is None else row.eu_hi,
            beyond=row.beyond,
            unit=row.unit,
            invalid=row.invalid,
            deadband=row.deadband,
            enum=row.enum,
            writable=row.writable,
            options=row.options,
            description=row.description,
            trace=row.trace,
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without problems. Paths are absolute; `tree` knows where each value stands. `told`: advice about
    its model files."""

    path: str
    tree: Tree
    file: File
    places: Places
    journal_path: Path
    assets: tuple[LoadedAsset, ...]
    sources: tuple[Endpoint, ...]
    sinks: tuple[Endpoint, ...]
    told: tuple[Problem, ...] = ()

    @property
    def journal(self) -> Journal:
        """The journal's settings."""
        return self.file.journal


def load(
    path: str | Path,
    state_dir: str | Path | None = None,
    settings: Mapping[str, str] = EMPTY,
    *,
    lenient: bool = False,
) -> Loaded:
    """The configuration in a file. ConfigErrors has every problem of it and of all files it names.

    `state_dir` takes the place of the one in the file; `settings` of single values ("sources.plc1.port": "5021").
    `lenient`: a model file that is refused leaves its model absent, with its reason, and is no problem.
    """
    out: list[Problem] = []
    tree = _tree(str(path), state_dir, settings, out)
    if tree is None:
        raise ConfigErrors(out)
    file = read(File, tree, (), out, partial=True)
    if file is None:
        raise ConfigErrors(out)
    places = _places(path, file, tree, out)
    sources, sinks = endpoints.sources(tree, places, out), endpoints.sinks(tree, places, out)
    out += [*endpoints.id_problems(tree), *consistency.file_problems(tree, file)]
    models = ModelFiles(str(path), tree, out, Admission(places.state_dir, _signed(file), lenient))
    assets = _assets(str(path), file, tree, models, out)
    out += [*_address_problems(assets, sources), *_option_problems(assets, sources)]
    if out:
        raise ConfigErrors(out)
    journal = places.base / file.journal.path if file.journal.path else places.state_dir / "journal.db"
    return Loaded(str(path), tree, file, places, journal, assets, sources, sinks, tuple(models.told))


def gateway_of(
    path: str | Path, state_dir: str | Path | None, settings: Mapping[str, str] = EMPTY
) -> tuple[Gateway, Path] | None:
    """The gateway of a file and its state directory, whatever else is wrong with the file; None where not even that can
    be read."""
    out: list[Problem] = []
    tree = _tree(str(path), state_dir, settings, out)
    gateway = None if tree is None else read(Gateway, tree, ("gateway",), out)
    if tree is None or gateway is None:
        return None
    where = tree.get(("state_dir",))
    default = File.model_fields["state_dir"].default
    return gateway, Path(path).absolute().parent / (where if isinstance(where, str) else default)


def _signed(file: Any) -> bool:
    """Whether model files must be signed; where the file does not get so far as to say it, they must."""
    return getattr(getattr(file.gateway, "models", None), "signature", "required") != "warn"


def _tree(path: str, state_dir: str | Path | None, chosen: Mapping[str, str], out: list[Problem]) -> Tree | None:
    """The file's content with what is set from outside; None where it is no YAML."""
    text = files.text(path, Mark(path), out)
    if text is None:
        return None
    tree, found = yaml.parse(path, text)
    out += found
    if found and not tree.value:
        return None
    if not isinstance(tree.value, dict):
        out.append(problem(tree.mark(()), f"expected a mapping with {', '.join(File.model_fields)}"))
        return None
    settings.apply(chosen, tree, out)
    if state_dir is not None:
        tree.put(("state_dir",), str(Path(state_dir).absolute()), Mark("--state-dir"))
    return tree


def _places(path: str | Path, file: File, tree: Tree, out: list[Problem]) -> Places:
    base = Path(path).absolute().parent
    state_dir = base / file.state_dir
    socket = base / file.feed.socket if file.feed.socket else state_dir / "feed.sock"
    if len(bytes(socket)) > LONGEST_SOCKET:
        at: At = ("feed", "socket") if file.feed.socket else ("state_dir",)
        text = f"socket {socket} has a path of {len(bytes(socket))} bytes, expected at most {LONGEST_SOCKET}"
        out.append(problem(tree.mark(at), text))
    return Places(base, state_dir, socket)


def _assets(path: str, file: File, tree: Tree, models: ModelFiles, out: list[Problem]) -> tuple[LoadedAsset, ...]:
    """The assets that can be used; the classes that none uses are checked too."""
    lists = TagLists(path, tree, out)
    for name in tree.get(("classes",)) if isinstance(tree.get(("classes",)), dict) else ():
        tags = lists.of(("classes", name))
        if tags is not None:
            rows = lists.rows_of(tags)
            out += [*consistency.row_problems(tags, rows), *derived.problems(tags, rows)]
    for kind in file.classes.values():
        out += consistency.class_problems(tree, kind)
    found = [_asset(asset, tree, lists, models, out) for asset in file.assets if tree.get(("classes", asset.kind))]
    return tuple(asset for asset in found if asset is not None)


def _asset(
    asset: Asset, tree: Tree, lists: TagLists, model_files: ModelFiles, out: list[Problem]
) -> LoadedAsset | None:
    here = effective(tree, asset, lists, out)
    if here is None:
        return None
    models = model_files.of(asset, here.kind.models, here.rows)
    names = [p.id.removeprefix(asset.id + "/") for model in models for p in model.points]
    out += consistency.class_problems(tree, here.kind)
    out += [*consistency.row_problems(here.tag_tree, here.rows), *derived.problems(here.tag_tree, here.rows)]
    out += consistency.tag_problems(tree, asset, here, names if len(models) == _expected(here.kind) else None)
    out += _point_problems(asset, here, models)
    out += modelinputs.problems(asset.id, models, [spec.name for spec in here.kind.models], here.tag_tree.value)
    sources = _sources(asset, here, tree, out)
    refused = {name: why for (of, name), why in model_files.refused.items() if of == asset.id}
    return LoadedAsset(asset, here.kind, here.rows, here.tag_tree, sources, models, refused)


def _expected(kind: Class) -> int:
    """How many models a class has, shadows among them."""
    return len(kind.models) + sum(spec.shadow is not None for spec in kind.models)


def _point_problems(asset: Asset, here: Effective, models: Sequence[LoadedModel]) -> Iterator[Problem]:
    """Points that two models give, or that are tags already."""
    taken = {f"{asset.id}/{row.name}" for row in here.rows} | {f"{asset.id}/{consistency.MODE}"}
    given = dict[str, set[str]]()
    for model in models:
        shared = given.get(model.name.removesuffix(SHADOW), set())
        given[model.name] = {point.id for point in model.points}
        for point in model.points:
            if point.id in taken - shared:
                text = f"gives {point.id}, which another model or a tag of class {asset.kind} gives already"
                yield problem(Mark(model.file), text)
            taken.add(point.id)


def _sources(asset: Asset, here: Effective, tree: Tree, out: list[Problem]) -> dict[str, str]:
    """The gateway's source id for each source name of the class, with a problem for each that leads nowhere."""
    raw = tree.get(("sources",))
    known = [str(item.get("id")) for item in raw if isinstance(item, dict)] if isinstance(raw, list) else []
    in_rows = list(dict.fromkeys(row.source for row in here.rows if row.source))
    names = list(here.kind.sources) if here.kind.sources is not None else in_rows or ["plc"]
    for row in here.rows:
        out += _row_source_problems(here, row, names)
    for name in asset.sources:
        if name not in names:
            text = f"class {asset.kind} has no source {name}{hint(name, names)}"
            out.append(problem(tree.key_mark((*asset.at, "sources", name)), text))
    alone = known[0] if len(known) == 1 and len(names) == 1 else None
    targets = {name: asset.sources.get(name, alone or name) for name in names}
    for name, target in targets.items():
        if target not in known:
            text = f"asset {asset.id} reads {name} from source {target}, which is not in sources{hint(target, known)}"
            out.append(problem(tree.mark((*asset.at, "sources", name)), text))
    return targets


def _row_source_problems(here: Effective, row: TagRow, names: Sequence[str]) -> Iterator[Problem]:
    if row.expression:
        return
    if row.source is None and len(names) > 1:
        text = f"tag {row.name} has no source, expected one of {', '.join(names)}"
        yield problem(here.tag_tree.mark(row.at), text)
    elif row.source is not None and row.source not in names:
        text = f"tag {row.name} is read from {row.source}{hint(row.source, names)}"
        yield problem(here.tag_tree.mark((*row.at, "source")), text)


def read_from(assets: Sequence[LoadedAsset], source: str) -> list[tuple[LoadedAsset, TagRow]]:
    """All tags of a source in its order: by asset, then by row."""
    return [
        (asset, row)
        for asset in assets
        for row in asset.rows
        if not row.expression and asset.sources.get(row.source or next(iter(asset.sources), "")) == source
    ]


def _address_problems(assets: Sequence[LoadedAsset], sources: Sequence[Endpoint]) -> Iterator[Problem]:
    """What the drivers find wrong with tags."""
    for source in sources:
        pairs = read_from(assets, source.id)
        for index, text in endpoints.static_problems(source, [asset.tag(row) for asset, row in pairs]):
            asset, row = pairs[index]
            mark = asset.tag_tree.mark((*row.at, "address"))
            yield problem(mark, f"{row.name}: {text}")


def _option_problems(assets: Sequence[LoadedAsset], sources: Sequence[Endpoint]) -> Iterator[Problem]:
    """Words in the options of tags that their drivers do not know."""
    for source in sources:
        known = endpoints.tag_options(source)
        for asset, row in read_from(assets, source.id):
            for word in (w for w in row.options if w not in known):
                near = hint(word, known) or f": a tag of {source.type} has none"
                mark = asset.tag_tree.mark((*row.at, "options"))
                yield problem(mark, f"{row.name}: unknown option {word}{near}")
