"""One line to a server: paced, patient, and with an end.

In: an address. Out: `Answer`, the whole of it. Never: a page of an error under the name of data, a half answer, a
wait without end, or a step to an address that the study does not name.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests
import stamina
import urllib3

from .. import __version__
from ..errors import DataError, RunError
from .cache import digest, keep, kept

#: What a server answers when it may do better later.
_BUSY = frozenset({429, 500, 502, 503, 504})
_ATTEMPTS = 6
_FIRST_ATTEMPTS = (
    3  # of a server that was never reached: a machine without a network should not wait for long
)
_LONGEST_WAIT = 300.0  # a server that asks for more is asked again by the user, not by a sleeping program
_LARGEST = 32 * 2**20  # an answer of the most cells that are asked for at once has a few of these
_DEADLINE = 900.0  # for one answer, however slowly it trickles in


class UnreachableError(RunError):
    """The server gave no answer at all."""


class _BusyError(Exception):
    def __init__(self, status: int, seconds: float | None, said: str) -> None:
        self.status, self.seconds, self.said = status, seconds, said
        super().__init__(f"status {status}: {said}" if said else f"status {status}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server answered.

    Attributes
    ----------
    status : int
    kind : str
        The content type, without its parameters and in small letters.
    charset : str
        As declared; empty where nothing is.
    body : bytes
    etag : str
        Empty where the server gives none.
    sized : bool
        Whether the server said how long the answer is. Where it did not, a line that broke looks like an end.
    """

    status: int
    kind: str
    charset: str
    body: bytes
    etag: str
    sized: bool = True


@dataclass(kw_only=True)
class Line:
    """A session with one server, and when it may be asked again.

    Attributes
    ----------
    session : requests.Session
    timeout : float
        Seconds without a byte after which an attempt is given up.
    interval : float
        Least number of seconds between two questions.
    tell : callable
        Takes one line of text for the user, when there is something to wait for.
    next_at : float
        When the next question may be put, by the monotonic clock.
    reached : bool
        Whether the server has answered at all.
    """

    session: requests.Session
    timeout: float
    interval: float
    tell: Callable[[str], None]
    next_at: float = field(default=0.0)
    reached: bool = field(default=False)


class _StayingSession(requests.Session):
    """A session that does not look where an address has moved to: reading that answer has no limit in `requests`."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


def open_line(*, timeout: float, tell: Callable[[str], None]) -> Line:
    """A line that says who is asking; Sotkanet refuses a library's own name."""
    session = _StayingSession()
    session.headers["User-Agent"] = f"mekeval/{__version__}"
    return Line(session=session, timeout=timeout, interval=0.0, tell=tell)


def ask(
    line: Line,
    url: str,
    *,
    params: tuple[tuple[str, str], ...] = (),
    body: bytes | None = None,
    etag: str = "",
    also: frozenset[int] = frozenset(),
) -> Answer:
    """Put a question, and put it again while the server is busy or the line breaks.

    Parameters
    ----------
    line : Line
    url : str
    params : tuple of pairs
        The query of the address.
    body : bytes, optional
        JSON; the question is then a POST, else a GET.
    etag : str
        Of the answer that is known; the server may then say 304.
    also : frozenset of int
        What may be answered besides 200 (and 304 to an `etag`).

    Raises
    ------
    UnreachableError
        There was no answer.
    RunError
        The answer was a refusal, a fault of the server that lasted, a move to another address, or too large.
    """
    tries = 0

    def again(cause: Exception) -> bool | float:
        nonlocal tries
        tries += 1
        if isinstance(cause, _BusyError):
            if cause.seconds is not None and cause.seconds > _LONGEST_WAIT:
                return False
            line.tell(f"{_host(url)}: {cause}; trying again")
            return True if cause.seconds is None else max(cause.seconds, 0.1)
        if isinstance(cause, requests.exceptions.SSLError | requests.exceptions.InvalidProxyURL):
            return False
        broken = isinstance(
            cause, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError
        )
        if broken and (line.reached or tries < _FIRST_ATTEMPTS):
            line.tell(f"{_host(url)}: {_short(cause)}; trying again")
            return True
        return False

    try:
        answer = stamina.RetryingCaller(attempts=_ATTEMPTS, timeout=None, wait_initial=1.0, wait_max=60.0)(
            again, _once, line, url, params, body, etag
        )
    except _BusyError as cause:
        later = cause.seconds if cause.status == 429 else None
        raise RunError(
            "The server is too busy: it asks to come back later."
            if cause.status == 429
            else "The server has a fault that lasts.",
            where=url,
            found=str(cause),
            fix=(f"Try again in {later:.0f} s. " if later and later < 1e7 else "Try again later. ")
            + "What has been downloaded is kept, and the next run goes on from there.",
        ) from None
    except requests.exceptions.SSLError as cause:
        raise RunError(
            "The server's certificate is not trusted.",
            where=url,
            found=_short(cause),
            fix="Ask whoever looks after the network, or name the certificates in REQUESTS_CA_BUNDLE.",
        ) from None
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
        urllib3.exceptions.HTTPError,
        TypeError,  # `requests` raises it for a proxy with a name and without a host
    ):
        # Their words may quote the address of the proxy, and it may hold a password: they are not shown.
        raise RunError(
            "The address, or that of the network's proxy, cannot be used.",
            where=url,
            fix="Correct the `url` of the source, or HTTP_PROXY and HTTPS_PROXY of the environment.",
        ) from None
    except requests.RequestException as cause:
        kind = RunError if line.reached else UnreachableError
        raise kind(
            "The line to the server breaks again and again."
            if line.reached
            else "The server cannot be reached.",
            where=url,
            found=_short(cause),
            fix="Try again later. What has been downloaded is kept, and the next run goes on from there.",
        ) from None
    return _accepted(answer, url, also | ({304} if etag else set()))


def ask_once(line: Line, url: str, folder: Path, *, also: frozenset[int] = frozenset()) -> Answer:
    """GET an address; where the server knows ETags, only when it has changed since the last time."""
    name = digest(["get", url])
    known = kept(folder, name)
    answer = ask(line, url, etag=known[1].get("etag", "") if known else "", also=also)
    if answer.status == 304 and known:
        body, words = known
        return Answer(status=200, kind=words["kind"], charset=words["charset"], body=body, etag=words["etag"])
    if answer.status == 200 and answer.etag:
        keep(folder, name, answer.body, etag=answer.etag, kind=answer.kind, charset=answer.charset)
    return answer


def _accepted(answer: Answer, url: str, also: frozenset[int] | set[int]) -> Answer:
    if answer.status == 200 or answer.status in also:
        return answer
    if 300 <= answer.status < 400:
        raise RunError(
            "The address has moved.",
            where=url,
            found=answer.body.decode("utf-8", "replace"),
            fix="Look at the new address, and write it as the `url` of the source in study.toml.",
        )
    raise RunError(
        "The server refuses the question.",
        where=url,
        found=f"status {answer.status}: {said(answer)}".removesuffix(": "),
        fix="Look at the `url` and the `select` of the source in study.toml; tables move when a new release comes.",
    )


def said(answer: Answer) -> str:
    """The server's own words in an answer that is no data; nothing where it is a web page."""
    if is_page(answer):
        return "a web page"
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return answer.body[:120].decode("utf-8", "replace").strip()
    if isinstance(content, Mapping) and isinstance(content.get("error"), str):
        return str(content["error"])[:200]
    return ""


def is_page(answer: Answer) -> bool:
    """Whether a web page came where data were due."""
    start = answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:40].lower()
    return answer.kind == "text/html" or start.startswith((b"<!doctype", b"<html", b"<?xml"))


def json_content(answer: Answer, url: str) -> object:
    """The JSON of an answer; numbers stay as the text that was sent, so that no digit is lost.

    Raises
    ------
    DataError
        It is a web page, or no JSON.
    """
    refuse_page(answer, url)
    try:
        content = json.loads(answer.body, parse_float=str, parse_int=str, parse_constant=_no_number)
        if b"\\ud" in answer.body.lower():  # half of a character can stand in JSON, and in no file
            json.dumps(content, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as cause:
        raise DataError(
            "The server's answer is not JSON.",
            where=url,
            found=f"content type {answer.kind or 'none'}; {ascii(str(cause))[1:-1][:120]}",
        ) from None
    return content


def refuse_page(answer: Answer, url: str) -> None:
    """Raise DataError for a web page."""
    if is_page(answer):
        raise DataError(
            "The server answered with a web page, not with data.",
            where=url,
            found=f"content type {answer.kind or 'none'}",
            fix="Open the address in a browser: a notice of maintenance, a log-in of the network or a new address.",
        )


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON")


def _once(line: Line, url: str, params: tuple[tuple[str, str], ...], body: bytes | None, etag: str) -> Answer:
    wait = line.next_at - time.monotonic()
    if wait > 0:
        time.sleep(wait)
    line.next_at = time.monotonic() + line.interval
    headers = {"Accept": "application/json, text/csv;q=0.9, */*;q=0.1"}
    if body is not None:
        headers["Content-Type"] = "application/json; charset=utf-8"
    if etag:
        headers["If-None-Match"] = etag
    deadline = time.monotonic() + _DEADLINE
    with line.session.request(
        "GET" if body is None else "POST",
        url,
        params=list(params),
        data=body,
        headers=headers,
        timeout=(min(line.timeout, 20.0), line.timeout),
        stream=True,
        allow_redirects=False,  # a POST would become a GET, and a study names its addresses itself
    ) as response:
        line.reached = True
        chunks, size = [], 0
        for chunk in _pieces(response):
            size += len(chunk)
            if size > _LARGEST:
                raise RunError(
                    "The answer is too large.", where=url, expected=f"at most {_LARGEST // 2**20} MiB"
                )
            if time.monotonic() > deadline:
                raise requests.Timeout(f"no whole answer in {_DEADLINE:.0f} s")
            chunks.append(chunk)
        kind, _, rest = response.headers.get("Content-Type", "").partition(";")
        content = b"".join(chunks)
        if 300 <= response.status_code < 400 and response.status_code != 304:
            content = _bare(response.headers.get("Location", "")).encode("utf-8", "replace")
        answer = Answer(
            status=response.status_code,
            kind=kind.strip().lower(),
            charset=rest.partition("charset=")[2].strip().strip('"').lower(),
            body=content,
            etag=response.headers.get("ETag", ""),
            sized="Content-Length" in response.headers or "Transfer-Encoding" in response.headers,
        )
        if answer.status in _BUSY:
            seconds = _seconds(response.headers.get("Retry-After", ""))
            raise _BusyError(answer.status, seconds, said(answer))
    return answer


def _seconds(header: str) -> float | None:
    """Retry-After in seconds: it is a number of seconds or a date; None where it is neither."""
    if re.fullmatch(r"\s*[0-9]{1,12}\s*", header):
        return float(header)
    try:
        then = parsedate_to_datetime(header)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """What has come, as soon as it has come, so that a trickle meets the deadline; unpacked."""
    try:
        while piece := response.raw.read1(2**16, decode_content=True):
            yield piece
    except urllib3.exceptions.DecodeError as cause:
        raise requests.exceptions.ChunkedEncodingError(str(cause)) from None
    except (urllib3.exceptions.ProtocolError, urllib3.exceptions.TimeoutError) as cause:
        raise requests.ConnectionError(cause) from None
    except urllib3.exceptions.SSLError as cause:
        raise requests.exceptions.SSLError(cause) from None


def _bare(location: str) -> str:
    """An address without what may be somebody's secret: name, password, query."""
    try:
        parts = urlsplit(location)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.scheme}://{host}{parts.path}"[:300] if host else parts.path[:300]


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _short(cause: Exception) -> str:
    """The innermost reason of a broken line, without the objects that the libraries print around it."""
    inner: BaseException = cause
    while True:
        deeper = inner.__cause__ or inner.__context__ or getattr(inner, "reason", None)
        arguments = [part for part in inner.args if isinstance(part, BaseException)]
        deeper = arguments[0] if arguments else deeper
        if not isinstance(deeper, BaseException) or deeper is inner:
            break
        inner = deeper
    text = (
        getattr(inner, "strerror", None)
        or str(inner).rpartition("object at 0x")[2].partition(">: ")[2]
        or str(inner)
    )
    return f"{type(inner).__name__}: {text}"[:200]
