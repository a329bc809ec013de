"""Models of a dataset run again on a Spark cluster: a job for each file."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ingest.appending import MakeFiles, write_rows
from ingest.dataset.manifest import FileEntry, ModelEntry
from ingest.dataset.reader import Dataset, open_dataset
from ingest.kernel.errors import HeadswapError
from ingest.producers.on_spark import Cluster, Job
from ingest.rerun import Part, Rerun


def made_on(cluster: Cluster | None, request: Any) -> MakeFiles | None:
    """What makes files of parts on a cluster, for `adding`; None where there is no cluster.

    request: a `RerunRequest`, as which the models were asked for.
    """
    if cluster is None:
        return None

    def make_on_cluster(
        dataset: Dataset, rerun: Rerun, parts: Mapping[str, Part]
    ) -> Iterator[FileEntry]:
        out = str(dataset.path.absolute())
        recipe = _Recipe(
            uuid.uuid4().hex,
            out,
            dataset.manifest.sha256(),
            type(rerun),
            rerun.entry,
            replace(request, device=rerun.model.device),
        )
        folder = str(Path.cwd())
        jobs = [RerunJob(folder, out, path, recipe, part) for path, part in parts.items()]
        yield from cluster.files(rerun.entry.name, jobs)

    return make_on_cluster


@dataclass(frozen=True)
class _Recipe:
    """What a worker needs to load a model again. key: the same for the jobs of one model."""

    key: str
    dataset: str = field(compare=False)
    manifest_sha256: str = field(compare=False)
    kind: type[Rerun] = field(compare=False)
    entry: ModelEntry = field(compare=False)
    request: Any = field(compare=False)


@dataclass(frozen=True)
class RerunJob(Job):
    """A file of a part."""

    recipe: _Recipe
    part: Part

    def file(self, path: str) -> FileEntry:
        """As `Job.file`."""
        dataset, rerun = _rerun(self.recipe)
        return write_rows(dataset, path, self.part.table, rerun.rows(self.part), rerun.entry.name)


# A worker serves one job after the other; those of the next model come when all of one are done.
@functools.lru_cache(maxsize=1)
def _rerun(recipe: _Recipe) -> tuple[Dataset, Rerun]:
    dataset = open_dataset(Path(recipe.dataset))
    if dataset.manifest.sha256() != recipe.manifest_sha256:
        raise HeadswapError(
            f"{dataset.path} has another manifest here than where the command was run",
            hint="give a folder that all machines see",
        )
    return dataset, recipe.kind(dataset, recipe.entry, recipe.request)
