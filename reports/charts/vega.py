"""The JavaScript that draws charts in the browser: Vega, Vega-Lite and Vega-Embed as one script."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.metadata import version

from ingest.kernel.errors import HeadswapError
from ingest.kernel.files import write_text_aside
from ingest.kernel.user_folders import cache_folder

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def vega_lite_version() -> str:
    """The Vega-Lite version that Altair writes, as vl-convert names it: major and minor."""
    import altair as alt

    return alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]


def vega_bundle() -> str:
    """The bundle of the Vega-Lite version that Altair writes, ready for a script element.

    Putting it together takes many seconds of computing, so it is kept in the user's cache folder.
    """
    vega_lite = vega_lite_version()
    folder = cache_folder()
    cached = folder and folder / f"vega-lite-{vega_lite}-{version('vl-convert-python')}.js"
    if cached:
        with suppress(OSError, UnicodeDecodeError):
            return cached.read_text(encoding="utf-8")
    import vl_convert

    bundle = vl_convert.javascript_bundle(_SNIPPET, vl_version=vega_lite)
    # A script element ends at the first `</script`, wherever it stands.
    bundle = re.sub("</(?=script)", r"<\\/", bundle, flags=re.IGNORECASE)
    if cached:
        with suppress(HeadswapError):
            write_text_aside(cached, bundle)
    return bundle
