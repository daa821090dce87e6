"""Options and help of `firsttoken bench`; parsed here, done in `bench.py`."""

from typing import Any

import click

from firsttoken._cli.status import HELP

__all__ = ["bench"]


@click.group(invoke_without_command=True, epilog=HELP)
@click.option("-m", "--model", metavar="NAME", help="The model to measure.")
@click.option("--base-url", metavar="URL", help="The server, up to and with /v1. Default: $OPENAI_BASE_URL.")
@click.option("-c", "--concurrency", metavar="N,N,...", help="Closed loop: so many requests at once. Default: 1.")
@click.option(
    "--rate", metavar="R,R,...", help="Open loop: so many requests start in a second, on an absolute schedule."
)
@click.option(
    "--arrival",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="The gaps of an open loop: those of random users, or equal ones.",
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="S",
    help="How long each level starts requests, in seconds.",
)
@click.option(
    "-n", "--requests", type=click.IntRange(min=1), metavar="N", help="Requests of each level, in place of a duration."
)
@click.option("--warmup", type=click.IntRange(min=0), metavar="N", help="Requests before each level that don't count.")
@click.option(
    "--data",
    default="synthetic:in=128,out=64",
    show_default=True,
    metavar="WHAT",
    help="FILE, sharegpt:FILE, or synthetic:in=512,out=128,prefix=256.",
)
@click.option(
    "--slo", default="", metavar="ttft=S,...", help="Objectives in seconds: ttft, tpot, ntpot, e2e, inter_chunk."
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Processes.")
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Of prompts and arrivals.")
@click.option("--no-salt", is_flag=True, help="Leave prompts as they are: a cache of prompts may answer.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="The report as JSON.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="The report as one HTML page.")
@click.option("--start-at", type=float, metavar="TIME", help="Unix time of the start, for several machines.")
@click.pass_context
def bench(context: click.Context, /, **options: Any) -> int:
    """Measure a server: time to first token, time per token, throughput, at each load.

    A row for each level goes to standard output once it has ended, with a verdict: was it the server that was
    measured, or this client? Tokens are the server's own count (usage).
    """
    if context.invoked_subcommand is not None:
        return 0
    from firsttoken._cli.bench import Options
    from firsttoken._cli.bench import bench as measure

    options["duration_s"], options["salt"] = options.pop("duration"), not options.pop("no_salt")
    return measure(Options(**options))


@bench.command("merge")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), metavar="FILE", help="The merged report as JSON.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="The merged report as one HTML page.")
def bench_merge(files: tuple[str, ...], output: str | None, html: str | None) -> int:
    """Merge the reports of machines that measured one server at the same time (--start-at)."""
    from firsttoken._cli.bench import merge_files

    return merge_files(files, output, html)
