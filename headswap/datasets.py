"""An open dataset: asked in SQL, drawn, and looked at head by head."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headswap.display import table_html
from headswap.heads import Head
from headswap.views import Views
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import altair as alt
    import duckdb

    from sql.engines.engine import EngineChoice
    from sql.parameters import Parameters
    from sql.session import Session

Figure = Literal["profiles", "pattern", "chance", "distribution", "matrix", "swaps", "trends"]
ThemeName = Literal["light", "dark", "print"]


class Dataset:
    """A dataset that was opened with `headswap.open`, to be closed, or left by `with`.

    Relations that it gave are read until it is closed, charts and arrays also after that.
    """

    def __init__(self, session: Session) -> None:
        self._session: Session | None = session
        self._name = session.dataset.name

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """The result of one query, which may only read, as a relation of DuckDB.

        `.pl()`, `.df()` and `.arrow()` give its rows to polars, pandas and Arrow; it is computed as
        they are fetched.

        Raises: InputError where the query does not only read, or DuckDB refuses it.
        """
        with self._open() as session, session.ask(query) as relation:
            return relation

    @property
    def models(self) -> duckdb.DuckDBPyRelation:
        """One row a model, in the order in which they were ingested."""
        return self.sql(
            "select models.* from models inner join places on places.model = models.model "
            "order by places.model_number"
        )

    @property
    def prompts(self) -> duckdb.DuckDBPyRelation:
        """One row a stored prompt."""
        return self.sql("select * from prompts order by prompt_id")

    @property
    def views(self) -> Views:
        """All tables and views that can be asked, by name, with purpose and columns."""
        with self._open() as session:
            return Views(session.dataset.manifest.absent_tables())

    def figure(
        self,
        name: Figure,
        *heads: str,
        prompt: int | None = None,
        other: str | None = None,
        score: str | None = None,
        theme: ThemeName = "light",
        width: int = 560,
    ) -> alt.Chart | alt.LayerChart:
        """One chart, as `headswap figure` draws it.

        heads: the head of a pattern, or one or two of profiles, as in `standard:L3H0`; none for the
        reference head and its best match. prompt: prompt_id of a pattern's prompt, None for the
        shortest. other: the model in which the reference head's match is looked for, None for the
        first. score: of trends. width: in pixels, axes and legend included.

        Raises: InputError where there is no such figure, head, prompt, model or score.
        """
        from reports.charts.theme import THEMES
        from reports.figures.figures import FIGURES, Choice, draw

        for kind, value, known in (("figure", name, FIGURES), ("theme", theme, THEMES)):
            if value not in known:
                raise InputError(
                    f"there is no {kind} {value!r}", hint=f"choose one of {', '.join(known)}"
                )
        choice = Choice(heads, other, prompt, score, THEMES[theme], width)
        with self._open() as session:
            drawn = draw(session, name, choice)
        for note in drawn.notes:
            warnings.warn(note, stacklevel=2)
        return drawn.chart

    def head(self, name: str) -> Head:
        """One head: its scores, profile, patterns, and its counterpart in other models.

        name: as in `standard:L3H0`; without a model that of the first.

        Raises: InputError where the dataset has no such head.
        """
        from reports.figures.figures import head_named

        with self._open() as session:
            return Head(self._open, head_named(session, name))

    def close(self) -> None:
        """Frees what the dataset holds in memory; what it gave can then no longer be fetched."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _open(self) -> Iterator[Session]:
        """The session behind this, for one call; Ctrl-C stops what it does."""
        from sql.access.interrupts import interruptible

        if self._session is None:
            raise InputError(f"{self._name} was closed", hint="open it again with headswap.open")
        with interruptible(self._session.connection):
            yield self._session

    def __repr__(self) -> str:
        if self._session is None:
            return f"<headswap.Dataset {self._name}, closed>"
        manifest = self._session.dataset.manifest
        models = ", ".join(model.name for model in manifest.models)
        n_rows = sum(manifest.rows_of("attention", model.name) for model in manifest.models)
        return (
            f"<headswap.Dataset {self._name}: models {models}; "
            f"{self._n_prompts():,} prompts, {n_rows:,} rows of attention>"
        )

    def _repr_html_(self) -> str:
        if self._session is None:
            return table_html(repr(self), (), ())
        manifest = self._session.dataset.manifest
        rows = [
            (row[0], row[1], row[2], f"{manifest.rows_of('attention', row[0]):,}")
            for row in self.sql(
                "select models.model, models.n_layers, models.n_heads from models "
                "inner join places on places.model = models.model order by places.model_number"
            ).fetchall()
        ]
        return table_html(
            f"{self._name}: {self._n_prompts():,} prompts",
            ("model", "layers", "heads a layer", "rows of attention"),
            rows,
        )

    def _n_prompts(self) -> int:
        found: tuple[int] = self.sql("select count(*) from prompts").fetchall()[0]
        return found[0]


def open_dataset(
    place: str | os.PathLike[str], parameters: Parameters, engine: EngineChoice
) -> Dataset:
    """Opens a folder or an address; as `headswap.open`."""
    from ingest.dataset.afar.address import is_address
    from sql.session import open_session

    text = os.fspath(place)
    found = text if is_address(text) else Path(text)
    return Dataset(open_session(found, parameters, engine=engine))
