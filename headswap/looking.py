"""From a sentence to a picture: what the heads of models attend to on one text."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headswap.display import images_html
from ingest.kernel.errors import InputError

if TYPE_CHECKING:
    import altair as alt
    import numpy as np
    from numpy.typing import NDArray

    from headswap.datasets import Dataset
    from ingest.models.options import LoadOptions
    from reports.charts.theme import Theme
    from reports.data.patterns import ModelPatterns
    from reports.data.report import Head

# What a page or a figure is called by the ending of its file.
PAGE_SUFFIX = ".html"
_WIDTH = 692  # pixels, that of a printed page


@dataclass(frozen=True, repr=False)
class Look:
    """Some models on one text: shows itself, and gives charts, a page, tokens and weights.

    heads: those that were named, as in `adhd:L3H5`; none for all. dataset: the folder in which the
    attention is kept.
    """

    text: str
    models: tuple[str, ...]
    heads: tuple[str, ...]
    dataset: Path
    _patterns: tuple[ModelPatterns, ...]
    _places: tuple[Head, ...]

    @property
    def charts(self) -> tuple[alt.LayerChart, ...]:
        """A chart a model: the heads that were named, or all of them, a row a layer.

        Raises: InputError where a model has more weights than can be drawn.
        """
        return tuple(self._charts())

    @property
    def chart(self) -> alt.LayerChart:
        """The chart of the first model."""
        return next(self._charts())

    def pattern(self, head: str) -> NDArray[np.float32]:
        """The weights of one head, `[query, key]`, as float32; keys after a query are 0.

        Raises: InputError where the models have no such head.
        """
        import numpy as np

        place = self._place(head)
        weights: NDArray[np.float32] = self._of(place.model).weights[place.layer, place.head]
        return np.where(np.isnan(weights), np.float32(0), weights)

    def tokens(self, model: str | None = None) -> list[str]:
        """The tokens as a model's tokenizer cuts the text, None for the first model.

        Raises: InputError where there is no such model.
        """
        return [token.text for token in self._of(model or self.models[0]).tokens]

    def open(self) -> Dataset:
        """Opens the dataset in which the attention is kept."""
        from headswap.datasets import open_dataset
        from sql.engines.engine import EngineChoice
        from sql.parameters import Parameters

        return open_dataset(self.dataset, Parameters(), EngineChoice())

    def save(
        self, path: str | os.PathLike[str], *, theme: str = "light", width: int = _WIDTH
    ) -> Path:
        """Writes a page (.html), a figure (.svg, .png, .pdf) or the weights as rows (.csv).

        theme: light, dark or print, of a figure; a page has both and a button. width: of a figure,
        in pixels.

        Returns: the path.
        Raises: InputError where the ending says none of these, or a figure would be of several
        models; HeadswapError where the file cannot be written.
        """
        from ingest.kernel.files import write_text_aside
        from reports.charts.theme import THEMES
        from reports.figures.figure_files import write_figure
        from reports.figures.figures import Drawn
        from reports.site.look_page import look_page

        file = Path(path)
        check_file(file)
        if theme not in THEMES:
            raise InputError(f"there is no theme {theme!r}", hint=f"choose {', '.join(THEMES)}")
        if file.suffix == PAGE_SUFFIX:
            write_text_aside(file, look_page(self._patterns, self._places))
            return file
        if len(self.models) > 1:
            raise InputError(
                f"a figure is of one model, not of {', '.join(self.models)}",
                hint="name the heads of one, or write a page: its name ends in .html",
            )
        drawn = Drawn(next(self._charts(THEMES[theme], width)), list(self._rows()))
        write_figure(drawn, file)
        return file

    def _charts(self, theme: Theme | None = None, width: int = _WIDTH) -> Iterator[alt.LayerChart]:
        from reports.charts.head_charts import heads_chart
        from reports.charts.theme import LIGHT
        from reports.site.look_page import title_of

        for patterns in self._patterns:
            named = [place for place in self._places if place.model == patterns.model]
            yield heads_chart(
                patterns,
                named,
                name="look",
                title=title_of([patterns]),
                theme=theme or LIGHT,
                width=width,
            )

    def _rows(self) -> Iterator[dict[str, Any]]:
        for patterns in self._patterns:
            texts = [token.text for token in patterns.tokens]
            for place in self._places or patterns.heads:
                for query, weights in enumerate(patterns.rows_of(place)):
                    for key, weight in enumerate(weights):
                        yield {
                            **vars(place),
                            "query": query,
                            "query_token": texts[query],
                            "key": key,
                            "key_token": texts[key],
                            "weight": weight,
                        }

    def _of(self, model: str) -> ModelPatterns:
        for patterns in self._patterns:
            if patterns.model == model:
                return patterns
        raise InputError(f"there is no model {model!r}", hint=f"choose {', '.join(self.models)}")

    def _place(self, name: str) -> Head:
        return _place_of(name, self._patterns)

    def __repr__(self) -> str:
        heads = ", ".join(self.heads) or "all heads"
        return f"<headswap.Look {heads} of {', '.join(self.models)} on {self.text!r}>"

    def _repr_html_(self) -> str:
        return images_html(self.charts)


def look(
    source: str | os.PathLike[str],
    text: str,
    heads: str | Iterable[str] = (),
    *,
    models: Sequence[str] = (),
    keep: str | os.PathLike[str] | None = None,
    options: LoadOptions | None = None,
) -> Look:
    """As `headswap.look`; options: how the models run, None for the defaults."""
    from ingest.looking import attention_on, find_models
    from reports.data.patterns import read_model_patterns
    from sql.graph.export import write_views
    from sql.parameters import parse_model_head
    from sql.session import open_session

    named = [heads] if isinstance(heads, str) else list(heads)
    of_models = [model for model, _, _ in map(parse_model_head, named) if model]
    found = find_models(os.fspath(source), list(dict.fromkeys([*models, *of_models])), options)
    dataset = attention_on(text, found, None if keep is None else Path(keep))
    if keep is not None:
        write_views(dataset)
    names = tuple(model.source.name for model in found)
    with open_session(dataset) as session:
        read = [read_model_patterns(session, name) for name in names]
    patterns = tuple(one for one in read if one is not None)
    assert len(patterns) == len(names)  # the dataset is of these models on this text
    places = tuple(_place_of(name, patterns) for name in named)
    shown = tuple(f"{place.model}:{place.index}" for place in places)
    return Look(text, names, shown, dataset, patterns, places)


def check_file(path: Path) -> None:
    """Raises: InputError for a file whose ending names no page and no form of a figure."""
    from reports.figures.figure_files import SUFFIXES

    if path.suffix not in (PAGE_SUFFIX, *SUFFIXES) or path.is_dir():
        raise InputError(
            f"{path} is no file that ends in one of {', '.join((PAGE_SUFFIX, *SUFFIXES))}",
            hint="name the file after the form that it is to have",
        )


def _place_of(name: str, patterns: Sequence[ModelPatterns]) -> Head:
    from reports.data.report import Head
    from sql.parameters import parse_model_head

    model, layer, head = parse_model_head(name)
    of = next((one for one in patterns if one.model == model), None if model else patterns[0])
    if of is None:
        known = ", ".join(one.model for one in patterns)
        raise InputError(f"there is no model {model!r}", hint=f"choose {known}")
    n_layers, n_heads = of.weights.shape[:2]
    if layer >= n_layers or head >= n_heads:
        raise InputError(
            f"{of.model} has no head L{layer}H{head}",
            hint=f"it has {n_layers} layers of {n_heads} heads, both counted from 0",
        )
    return Head(of.model, layer, head)
