"""A server that tells the log-probabilities of a prompt: exchanges to losses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from ds2_fast.errors import ModelError, RatingError
from ds2_fast.losses.asking import Asking, Limits
from ds2_fast.losses.exchange import Exchange
from ds2_fast.losses.keeping import Keep
from ds2_fast.progress import Progress, silent
from ds2_fast.rating.drive import Drive
from ds2_fast.rating.endpoint import Endpoint, make_scrubber, open_endpoint
from ds2_fast.rating.rules import Stop
from ds2_fast.rating.transport_direct import open_post

SERVER_TOKENS = 1024
"""Tokens counted of prompt and response; a server does not tell its own limit."""

_RESUME = "run the same command again; what is stored is not asked again"


class ServerLm:
    """Losses by a server of text completions, asked over HTTP.

    A sample takes two requests: the response after its prompt, and alone; and one more for the
    number of the prompt's tokens, where the tokens of an answer do not spell out the text. What a
    server computes can depend on what it computes beside it: the losses are what was answered
    first, and another run may differ in their last digits.

    Args:
        endpoint: where requests go.
        model: name of the model as the server knows it.
        max_tokens: tokens counted of prompt and response, the special ones included; None for
            1,024. Longer texts are sent whole.
        limits: how the server is asked.

    Attributes:
        name: name of the model.
        key: sha256 in hex of the address, the model and `max_tokens`.
        max_tokens: tokens counted.
        unit_rows: samples that are kept together: 1.

    Raises:
        ModelError: the endpoint has no address.
    """

    unit_rows = 1

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        max_tokens: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        if endpoint.api_base is None:
            raise ModelError(
                f"the language model `{model}` needs the address of its server",
                "for example `--api-base http://127.0.0.1:8000/v1`",
            )
        if max_tokens is not None and max_tokens < 2:  # noqa: PLR2004
            raise ValueError(f"max_tokens must be at least 2, got {max_tokens}")
        self.name = model
        self.max_tokens = SERVER_TOKENS if max_tokens is None else max_tokens
        self._url = f"{endpoint.api_base.rstrip('/')}/completions"
        self._endpoint = endpoint
        self._limits = limits or Limits()
        parts = ["server", 1, endpoint.id, model, self.max_tokens]
        self.key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def measure(
        self,
        exchanges: Sequence[Exchange],
        begins: Sequence[int],
        keep: Keep,
        progress: Progress = silent,
    ) -> None:
        """Measure exchanges, in whatever order the answers come.

        Args:
            exchanges: N samples.
            begins: rows of those to measure.
            keep: is given each row and its losses, in a thread of the run; may raise to stop it.
            progress: called with `(done, total)` samples.

        Raises:
            ModelError: the server does not tell the log-probabilities of a prompt.
            RatingError: it refuses, or gives no answer to some samples; what was answered is kept.
            KeyboardInterrupt: Ctrl-C; what was in flight is waited for, and kept.
        """
        key = self._endpoint.api_key or ""
        asking = Asking(
            self.name,
            self._endpoint.shown,
            self.max_tokens,
            exchanges,
            keep=keep,
            limits=self._limits,
        )

        async def work() -> None:
            async with open_post(self._url, key, self._endpoint.shown) as post:
                await asking.run(begins, post)

        def watch() -> None:
            progress(len(exchanges) - len(begins) + asking.done, len(exchanges))

        Drive(work, lambda: asking.stop(Stop.INTERRUPTED), watch).run()
        watch()
        kept = f"{len(exchanges) - len(begins) + asking.done - asking.lost:,} of {len(exchanges):,}"
        said = make_scrubber(key)(asking.said)
        match asking.stop_reason:
            case Stop.INTERRUPTED:
                raise KeyboardInterrupt(f"{kept} samples are stored; {_RESUME}")
            case Stop.FATAL:
                raise RatingError(
                    f"{self._endpoint.shown} refuses: {said}; {kept} samples are stored",
                    asking.hint,
                )
            case Stop.DOWN | Stop.GIVE_UP:
                raise RatingError(
                    f"{self._endpoint.shown} does not answer: {said}; {kept} samples are stored",
                    _RESUME,
                )
        if asking.lost:
            raise RatingError(
                f"{asking.lost:,} of {len(exchanges):,} samples got no answer, the last: {said}",
                _RESUME,
            )


def open_server_lm(
    model: str,
    api_base: str | None,
    *,
    max_tokens: int | None = None,
    api_key_env: str | None = None,
    insecure_http: bool = False,
    limits: Limits | None = None,
) -> ServerLm:
    """Name a model on a server; nothing is sent yet.

    Args:
        model: its name as the server knows it.
        api_base: address of the server, up to and with `/v1`.
        max_tokens: tokens counted of prompt and response; None for 1,024.
        api_key_env: name of the environment variable that holds the key.
        insecure_http: send a key over plain http to another machine all the same.
        limits: how the server is asked.

    Raises:
        ModelError: there is no address.
        RatingError: the address is none, the variable holds no key, or a key would cross the
            network unencrypted.
    """
    endpoint = open_endpoint(api_base, api_key_env=api_key_env, insecure_http=insecure_http)
    return ServerLm(endpoint, model, max_tokens=max_tokens, limits=limits)
