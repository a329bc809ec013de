"""The options that say where models run: in this process, or on a Spark cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ingest.kernel.command_line import gathered, spark_master_option
from ingest.kernel.errors import InputError
from ingest.producers.on_spark import OnSpark


def _spark(options: Mapping[str, Any]) -> OnSpark | None:
    """The cluster that the options name, None for this process.

    Raises: InputError where a master is named and no Spark is asked for, or it is not installed.
    """
    if options["engine"] == "spark":
        from ingest.kernel.spark_start import check_installed

        check_installed()
        return OnSpark(options["master"])
    if options["master"] is not None:
        raise InputError("--master is for Spark alone", hint="add --engine spark")
    return None


# The command's function gets them as `spark`.
spark_option = gathered(
    "spark",
    _spark,
    click.option(
        "--engine",
        type=click.Choice(("local", "spark")),
        default="local",
        help="where the models run: in this process (default), or in those of a Spark cluster, "
        "whose machines all see the models' files and DATASET by the same paths",
    ),
    spark_master_option,
)
