"""One head of an open dataset: what it attends to, and its counterparts in other models."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headswap.display import charts_html, table_html, text_html
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    from reports.data.report import Head as Place
    from sql.session import Session

_OF_THIS_HEAD = "where model = $model and layer = $layer and head = $head"


@dataclass(frozen=True, repr=False)
class Counterpart:
    """The most alike head of another model, and whether chance also gives one as alike.

    head: as in `adhd:L3H5`. similarity: what the two are alike by, and value: how much, a cosine.
    p_value: corrected for the number of heads, and is_beyond_chance: whether it is at most 0.05;
    both None where nothing could be tested.
    """

    head: str
    similarity: str
    value: float
    p_value: float | None
    is_beyond_chance: bool | None
    sentence: str

    def __repr__(self) -> str:
        return f"<headswap.Counterpart {self.head}: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{text_html(self.sentence)}.</p>"


class Head:
    """One head. model: its model's name; layer, head: 0-based, as in `L3H5`."""

    def __init__(self, opened: Callable[[], AbstractContextManager[Session]], place: Place) -> None:
        self._opened, self._place = opened, place
        self.model, self.layer, self.head = place.model, place.layer, place.head

    @property
    def name(self) -> str:
        """As in `standard:L3H0`."""
        return f"{self.model}:{self._place.index}"

    @property
    def scores(self) -> duckdb.DuckDBPyRelation:
        """What the head attends to: one row a score that is defined for these prompts."""
        return self._query(
            "select score, value, low, high, n_eligible, n_units from head_scores "
            f"{_OF_THIS_HEAD} and value is not null order by score"
        )

    @property
    def profile(self) -> duckdb.DuckDBPyRelation:
        """Structural mass along the prompt: one row a bin."""
        return self._query(
            f"select bin, mass, n_queries from profiles {_OF_THIS_HEAD} order by bin"
        )

    @property
    def patterns(self) -> duckdb.DuckDBPyRelation:
        """All stored weights of the head: one row a (prompt_id, query, key)."""
        return self._query(
            f"select prompt_id, query, key, weight from attention {_OF_THIS_HEAD} "
            "order by prompt_id, query, key"
        )

    def pattern(self, prompt: int | None = None) -> NDArray[np.float64]:
        """The weights on one prompt, `[query, key]`; keys that a query does not see are 0.

        prompt: its prompt_id, None for the shortest.

        Raises: InputError where no such prompt is analysed.
        """
        import numpy as np

        n_tokens = len(self.tokens(prompt))
        found = self._query(
            f"select query, key, weight from attention {_OF_THIS_HEAD} and prompt_id = $prompt_id",
            prompt_id=self._prompt(prompt),
        ).fetchnumpy()
        weights = np.zeros((n_tokens, n_tokens))
        weights[found["query"], found["key"]] = found["weight"]
        return weights

    def tokens(self, prompt: int | None = None) -> list[str]:
        """The texts of one prompt's tokens, as the model's tokenizer cuts it.

        prompt, Raises: as `pattern`.
        """
        found = self._query(
            "select token from tokens inner join models on models.tokenizer = tokens.tokenizer "
            "where model = $model and $layer >= 0 and $head >= 0 and prompt_id = $prompt_id "
            "order by position",
            prompt_id=self._prompt(prompt),
        )
        return [token for (token,) in found.fetchall()]

    @cached_property
    def counterparts(self) -> tuple[Counterpart, ...]:
        """The most alike head in each model that this one's is compared with, and its test.

        Without any where no other model is compared, or heads cannot be.
        """
        from reports.data.queries import compared_models
        from reports.data.verdicts import match_sentence, read_verdict

        found = []
        with self._opened() as session:
            for other in compared_models(session, self.model):
                rows = session.rows(
                    "select layer_b, head_b, similarity, value, p_family, is_beyond_chance "
                    "from verdicts where model_a = $model and layer_a = $layer and head_a = $head "
                    "and model_b = $other and layer_b is not null",
                    vars(self._place) | {"other": other},
                )
                sentence = match_sentence(self._place, read_verdict(session, self._place, other))
                found += [
                    Counterpart(
                        f"{other}:L{row['layer_b']}H{row['head_b']}",
                        row["similarity"],
                        row["value"],
                        row["p_family"],
                        row["is_beyond_chance"],
                        sentence,
                    )
                    for row in rows
                ]
        return tuple(found)

    @property
    def counterpart(self) -> Counterpart | None:
        """That in the first model that this one's is compared with, None without any."""
        return next(iter(self.counterparts), None)

    def __repr__(self) -> str:
        return f"<headswap.Head {self.name}>"

    def _repr_html_(self) -> str:
        from reports.figures.figures import Choice, pattern, profiles

        try:
            with self._opened() as session:
                choice = Choice(heads=(self.name,), width=420)
                # Without structural tokens profiles are 0 by definition, and say nothing.
                has_profile = session.rows("select 1 from positions where is_structural limit 1")
                drawn = [profiles(session, choice)] if has_profile else []
                drawn.append(pattern(session, choice))
            parts = [counterpart._repr_html_() for counterpart in self.counterparts]
            rows = self.scores.fetchall()
        except InputError as error:  # as of a dataset that was closed
            return f"<p>{text_html(self.name)}: {text_html(error)}</p>"
        notes = [f"<p>{text_html(note)}</p>" for figure in drawn for note in figure.notes]
        scores = table_html(
            self.name, ("score", "value", "95 % from", "to"), [row[:4] for row in rows]
        )
        return "".join([scores, *parts, charts_html([figure.chart for figure in drawn]), *notes])

    def _prompt(self, prompt: int | None) -> int:
        from reports.figures.figures import prompt_of

        with self._opened() as session:
            found: int = prompt_of(session, self.model, prompt)["prompt_id"]
        return found

    def _query(self, sql: str, **values: Any) -> duckdb.DuckDBPyRelation:
        with self._opened() as session:
            return session.query(sql, vars(self._place) | values)
