"""The demo's dataset on DuckDB and on a Spark cluster, opened once for all tests of engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from sql.engines.engine import EngineChoice
from sql.parameters import Parameters, parse_claim
from sql.session import Session, open_session

Sessions = tuple[Session, Session]
Both = Callable[[Path, Parameters], AbstractContextManager[Sessions]]
_CLAIMS = tuple(
    parse_claim(f"standard:L0H0 ~ adhd:L0H1 {test}")
    for test in ("best match", "above same index", "beyond chance", "at least 0.5")
)


@pytest.fixture(scope="session")
def both(spark_master: str, tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Opens a dataset on DuckDB and on the cluster."""

    @contextmanager
    def opened(dataset: Path, asked: Parameters) -> Iterator[Sessions]:
        spark = EngineChoice("spark", spark_master, tmp_path_factory.mktemp("warehouse"))
        with (
            open_session(dataset, asked) as duckdb,
            open_session(dataset, asked, engine=spark) as on_spark,
        ):
            yield duckdb, on_spark

    return opened


@pytest.fixture(scope="session")
def demo_sessions(demo_dataset: Path, both: Both) -> Iterator[Sessions]:
    """The demo, on DuckDB and on the cluster."""
    with both(demo_dataset, Parameters(claims=_CLAIMS)) as sessions:
        yield sessions
