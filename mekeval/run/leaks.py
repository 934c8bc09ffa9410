"""What must not leave with a report: the values of secrets, and the folders of this machine.

In: outputs and messages. Out: an error where an output holds one of these; messages without them. Never: the secret
itself in the error.

A secret is what a variable of the environment holds whose name says so (``API_TOKEN``, ``DB_PASSWORD``,
``ACCESS_KEY``). It is never a parameter: parameters stand in the published notebook and in the manifest.
"""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from ..errors import RunError

#: Names that say that a value is secret.
_SECRET = re.compile(r"(?:.*_)?(?:api_?key|key|token|password|passwd|secret|credentials?)", re.IGNORECASE)
#: A shorter value is a word that a report may hold by chance.
_SHORTEST = 8


def refuse_secret(name: str, *, where: str) -> None:
    """Refuse a parameter whose name says that it holds a secret.

    Raises
    ------
    RunError

    Examples
    --------
    >>> refuse_secret("year", where="-p")
    >>> refuse_secret("statfin_token", where="-p")
    Traceback (most recent call last):
    mekeval.errors.RunError: A secret is no parameter: parameters are published with the report.
      where: -p
      found: 'statfin_token'
      to do: Let the notebook read the variable STATFIN_TOKEN of the environment.
    """
    if _SECRET.fullmatch(name):
        raise RunError(
            "A secret is no parameter: parameters are published with the report.",
            where=where,
            found=repr(name),
            fix=f"Let the notebook read the variable {name.upper()} of the environment.",
        )


def secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Values of the variables whose names say that they are secret, by name."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if _SECRET.fullmatch(name) and len(value.strip()) >= _SHORTEST
    }


def machine_paths(*paths: str | Path | None) -> tuple[str, ...]:
    """Folders of this machine that no output may name; those directly below the root are words like any other."""
    found = {
        form
        for path in paths
        if path
        for form in (os.path.abspath(path), os.path.realpath(path))  # noqa: PTH100
        if len(Path(form).parts) > 2
    }
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def refuse_leaks(files: Mapping[str, bytes], paths: Iterable[str]) -> None:
    """Refuse outputs that hold the value of a secret, in any spelling, or a folder of this machine.

    Parameters
    ----------
    files : mapping of str to bytes
    paths : iterable of str
        As `machine_paths` gives them.

    Raises
    ------
    RunError
        It names the variable, not its value.
    """
    for ending, content in files.items():
        for name, value in secrets(os.environ).items():
            if any(form in content for form in _spellings(value)):
                raise RunError(
                    "The report holds the value of a secret.",
                    where=ending,
                    found=f"the value of the variable {name}",
                    fix="Let the notebook not show it.",
                )
        for path in paths:
            if path.encode() in content:
                raise RunError(
                    "The report names a folder of this machine.",
                    where=ending,
                    found=f"…/{Path(path).name}",
                    fix="Let the notebook not show it.",
                )


def redacted(text: str, paths: Iterable[str]) -> str:
    """A message without the values of secrets and without the folders of this machine.

    Examples
    --------
    >>> redacted("/srv/city/data/a.csv is not there", ["/srv/city"])
    '…/data/a.csv is not there'
    """
    for name, value in secrets(os.environ).items():
        text = text.replace(value, f"[{name}]")
    for path in paths:
        text = text.replace(path, "…")
    return text


def _spellings(value: str) -> set[bytes]:
    """A value as it may stand in HTML, JSON, an address or base64."""
    plain = value.strip()
    forms = {plain, html.escape(plain), json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
    forms.add(quote(plain, safe=""))
    return {form.encode() for form in forms} | {base64.b64encode(plain.encode()).rstrip(b"=")}
