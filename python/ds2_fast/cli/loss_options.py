"""Options of what measures token losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from ds2_fast.cli.asking_options import Duration

Command = Callable[..., Any]

TEMPLATE = click.Choice(["plain", "response"])
SERVER_OPTIONS = ("api_key_env", "insecure_http", "concurrency", "rpm", "timeout", "give_up")


def causal_lm_options(command: Command) -> Command:
    """A causal language model on this machine, and the template its texts get."""
    for option in reversed((
        click.option(
            "--causal-lm",
            metavar="DIR|FILE.onnx",
            help="Causal language model as ONNX: a folder with onnx/model.onnx, tokenizer.json and "
            "config.json.",
        ),
        click.option(
            "--template",
            type=TEMPLATE,
            default="plain",
            show_default=True,
            help="What joins prompt and response: plain, a line end; response, also the header "
            "`### Response:`.",
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def server_options(command: Command) -> Command:
    """A language model on a server that tells log-probabilities of a prompt."""
    for option in reversed((
        click.option(
            "--model", metavar="NAME", help="Model on a server, by the name it has there."
        ),
        click.option(
            "--api-base", metavar="URL",
            help="Address of a server of text completions that tells log-probabilities of a "
            "prompt, for example http://127.0.0.1:8000/v1.",
        ),
        click.option(
            "--api-key-env", metavar="VARIABLE", help="Environment variable that holds the key."
        ),
        click.option(
            "--insecure-http", is_flag=True, help="Send a key over plain http all the same."
        ),
        click.option(
            "--max-concurrency", "concurrency", type=click.IntRange(1),
            help="Requests in flight at most.  [default: 64]",
        ),
        click.option(
            "--rpm", type=float, help="Requests a minute; default: as the server says."
        ),
        click.option(
            "--timeout", type=Duration(),
            help="Time a request may take in all, in seconds.  [default: 120]",
        ),
        click.option(
            "--give-up", type=Duration(),
            help="Time without any answer before the run stops.  [default: 600]",
        ),
    )):  # fmt: skip
        command = option(command)
    return command
