"""`streamseg models`: the published weights, and the way to have them. Tested in tests/zoo/test_names.py."""

from __future__ import annotations

from typing import Annotated

import typer

from streamseg.cli.options import CacheFolder
from streamseg.cli.progress import shown_on_stderr
from streamseg.cli.verbosity import Verbose

__all__ = ["models"]

models = typer.Typer(rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="A name of the list.")]


@models.callback(invoke_without_command=True)
def listing(context: typer.Context, cache: CacheFolder = None, verbose: Verbose = 0) -> None:
    """List the published weights that can be had by name: mask AP, licence, size, address."""
    from streamseg.zoo.listing import describe_models

    if context.invoked_subcommand is None:
        for line in describe_models(cache):
            typer.echo(line)


@models.command()
def pull(
    name: Name,
    accept_non_commercial: Annotated[
        bool,
        typer.Option("--accept-non-commercial", help="Take weights whose licence allows no commercial use."),
    ] = False,
    cache: CacheFolder = None,
    verbose: Verbose = 0,
) -> None:
    """Download published weights into the cache, or verify those that are there, and print their path."""
    from streamseg.zoo.published import find
    from streamseg.zoo.pull import pull as pull_weights

    with shown_on_stderr() as watcher:
        weights = pull_weights(
            find(name), cache, accept_non_commercial=accept_non_commercial, watcher=watcher
        )
    typer.echo(weights.path)


@models.command()
def path(name: Name, cache: CacheFolder = None, verbose: Verbose = 0) -> None:
    """Print where pulled weights are; an error, with the place they belong, when they are not there."""
    from streamseg.zoo.published import find
    from streamseg.zoo.pull import existing

    typer.echo(existing(find(name), cache).path)
