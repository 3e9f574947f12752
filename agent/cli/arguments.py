"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[Path, typer.Argument(help="The configuration file (YAML).", show_default=False)]
MaybeFile = Annotated[Path | None, typer.Argument(help="The configuration file (YAML).", show_default=False)]
StateDir = Annotated[Path | None, typer.Option("--state-dir", help="Keep state here, not where FILE says.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change one value: sources.plc1.port=5021. Can be given again.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Socket = Annotated[Path | None, typer.Option("--socket", help="The daemon's feed socket.")]
Source = Annotated[str | None, typer.Option("--source", help="Only of this source; all OPC UA sources if left out.")]
Wanted = Annotated[str, typer.Argument(help="A file, or a fingerprint as certs list prints it.", show_default=False)]
Where = Annotated[list[str] | None, typer.Option("--where", help="Use only rows where TAG=VALUE, as drive/state=2.")]
Exclude = Annotated[
    Path | None, typer.Option("--exclude", help="CSV of times to leave out (from,to), as maintenance list --csv.")
]
Interlocks = Annotated[
    list[str] | None,
    typer.Option("--interlock", help="'upper/level>0.545 -> pump/speed=0 after=0.5s': it latches."),
]
Fitted = Annotated[
    Path,
    typer.Argument(
        metavar="RECORDING",
        help="CSV: time, then one column a tag (group/name); or a configuration (YAML): what its daemon has recorded.",
        show_default=False,
    ),
]
Begin = Annotated[str, typer.Option("--from", help="Of a history: from this time on, as 2026-11-01T06:00Z or -2h.")]
End = Annotated[str, typer.Option("--to", help="Of a history: before this time.")]
Margin = Annotated[str, typer.Option(help="Of a history: leave out so much around alarms and alerts.")]
