"""What a refusal means for the bill and for whoever reads it, whichever transport met it."""

from __future__ import annotations

from http import HTTPStatus

from ds2_fast.rating.transport import Failure

UNSENT = frozenset({Failure.FATAL, Failure.REJECTED, Failure.CONTEXT, Failure.FILTERED})
"""Classes a provider decides before the model runs: never billed."""


def hint_for(kind: Failure, status: int | None, text: str) -> str:
    """What mends a fatal failure; empty for the others.

    Args:
        kind: its class.
        status: HTTP status, if there was a response.
        text: what the provider or the client library said, any case.

    Returns:
        One hint.
    """
    if kind is not Failure.FATAL:
        return ""
    low = text.lower()
    if "provider not provided" in low:
        return "name the model as `provider/model`, for example `openai/gpt-4o-mini`"
    if "unsupportedparams" in low or "support temperature" in low:
        return "`--temperature none` leaves the temperature to the model"
    if status == HTTPStatus.PAYMENT_REQUIRED or any(
        word in low for word in ("quota", "billing", "credit", "balance")
    ):
        return "look at the account's plan; the run resumes where it stopped"
    if status == HTTPStatus.NOT_FOUND or "model_not_found" in low:
        return "check the name after `--model`, and `--api-base`"
    return "put the key into the provider's variable, or name yours with `--api-key-env`"
