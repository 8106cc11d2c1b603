"""Where requests go and with which key; and that no key ever leaves by another door."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from ds2_fast.errors import RatingError

_NO_KEY = "no-key-needed"
_SHOWN = 300


@dataclass(frozen=True)
class Endpoint:
    """The place a run talks to.

    Attributes:
        id: part of every key: hash of scheme, host, port and path; empty for a provider's own
            endpoint.
        shown: what may be printed and stored: scheme, host and port, never user-info, path or
            query.
        loopback: whether it is this machine.
        api_base: the address as given; None for a provider's own endpoint.
        api_key: the key to send; None leaves it to the provider's own variable in the environment.
    """

    id: str
    shown: str
    loopback: bool
    api_base: str | None
    api_key: str | None

    def __repr__(self) -> str:
        """The endpoint without its key."""
        return f"Endpoint({self.shown})"


def open_endpoint(
    api_base: str | None,
    *,
    api_key_env: str | None = None,
    insecure_http: bool = False,
    label: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Endpoint:
    """Check where requests go, and find the key to send.

    A loopback address gets a placeholder for a key, so that a key of the environment is not sent to
    whatever listens there; so does an `http` address without `api_key_env`.

    Args:
        api_base: address of an OpenAI-compatible server; None = the provider's own.
        api_key_env: name of the environment variable that holds the key.
        insecure_http: send a key over plain http to another machine all the same.
        label: id of the endpoint to use in place of its address.
        environ: the environment.

    Returns:
        The checked endpoint.

    Raises:
        RatingError: if the variable is not set, the address is no http(s) address, or a key would
            cross the network unencrypted.
    """
    key = None
    if api_key_env is not None:
        key = environ.get(api_key_env) or None
        if key is None:
            raise RatingError(
                f"the environment variable `{api_key_env}` holds no key",
                f"export {api_key_env}=...",
            )
    if api_base is None:
        return Endpoint(label or "", "the provider's own endpoint", False, None, key)
    url = _split(api_base)
    loopback = _is_loopback(url.hostname or "")
    plain = url.scheme == "http" and not loopback
    if plain and key is not None and not insecure_http:
        raise RatingError(
            f"the key in `{api_key_env}` would be sent unencrypted to {url.hostname}",
            "use an https address, or `--insecure-http` if the network is yours",
        )
    if key is None and (loopback or plain):
        key = _NO_KEY
    port = f":{url.port}" if url.port else ""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    shown = f"{url.scheme}://{host}{port}"
    digest = hashlib.blake2b(f"{shown}{url.path.rstrip('/')}".encode(), digest_size=8).hexdigest()
    return Endpoint(label or digest, shown, loopback, api_base, key)


def _split(api_base: str) -> SplitResult:
    problem = ""
    try:
        url = urlsplit(api_base)
        _ = url.port  # a port that is no number is found only here
    except ValueError as error:
        problem = str(error)
    else:
        if url.scheme in ("http", "https") and url.hostname:
            return url
        problem = "it must begin with http:// or https:// and name a host"
    raise RatingError(
        f"the api base `{make_scrubber()(api_base)}` is not an address: {problem}",
        "for example `--api-base http://127.0.0.1:8000/v1`",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET = 8
_SHAPES = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), r"\1 [hidden]"),
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|r8|key)[-_][\w-]{8,}"), "[hidden]"),
    (re.compile(r"\bAIza[\w-]{20,}"), "[hidden]"),
    (re.compile(r"(?i)\b(https?://)[^\s/@]+@"), r"\1"),
    (re.compile(r"(?i)\b(https?://[^\s?#\"'<>]+)\?[^\s\"'<>]+"), r"\1"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


def make_scrubber(
    *keys: str | None, environ: Mapping[str, str] = os.environ
) -> Callable[[str], str]:
    """A function that makes a foreign text fit to print and to store.

    It hides the given keys, the value of every environment variable named like a secret, and what
    looks like a key or a URL's user-info and query; control characters become spaces (a rated text
    or a server could paint the terminal); the text ends at 300 characters.

    Args:
        keys: keys in use.
        environ: the environment.

    Returns:
        The scrubber.
    """
    named = (value for name, value in environ.items() if _SECRET_NAMES.search(name))
    secrets = {s for s in (*keys, *named) if s and len(s) >= _SHORTEST_SECRET and s != _NO_KEY}
    longest_first = sorted(secrets, key=len, reverse=True)

    def scrub(text: str) -> str:
        for secret in longest_first:
            text = text.replace(secret, "[hidden]")
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        text = _CONTROL.sub(" ", text).strip()
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

    return scrub


_SHARED = 16


def hide_sample(text: str, sample: str) -> str:
    """A provider's words without what they repeat of a sample: `[sample]` stands for it.

    Pools may be private, and messages end up in logs. Whatever 16 characters in a row are in both
    is taken for a repetition. O(length of the text times that of the sample): for messages, not for
    answers.

    Args:
        text: a scrubbed message.
        sample: the user message that was sent.

    Returns:
        The message.
    """
    plain = _CONTROL.sub(" ", sample)
    out, at = [], 0
    while at < len(text):
        end = at + _SHARED
        if end > len(text) or text[at:end] not in plain:
            out.append(text[at])
            at += 1
            continue
        while end < len(text) and text[at : end + 1] in plain:
            end += 1
        out.append("[sample]")
        at = end
    return "".join(out)
