"""The public interface held still: names, signatures and fields, compared with `tests/api.txt`.

    python tests/test_api.py

writes the file again. Do that when a change is meant, and say the change in CHANGELOG.md; docs/releasing.md says what
may change in which release.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import pkgutil
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

import mekeval
from mekeval.deprecation import DeprecatedNameWarning, deprecated

SNAPSHOT = Path(__file__).with_name("api.txt")
ADVICE = """
The public interface is not what tests/api.txt says (- as written there, + as it is now).
Not meant?  Undo the change.
Added?      Write the file again with `python tests/test_api.py`, and say it in CHANGELOG.md under "Added".
Changed or removed?  Only after a release that warns: keep the old name with `mekeval.deprecation.deprecated`, or in
            `_RENAMED` of mekeval/__init__.py (docs/releasing.md, "What may change when"). Then write the file again,
            and say it in CHANGELOG.md under "Deprecated", "Changed" or "Removed".
"""


#: The command line is held still by its own words, pages by what readers see of them: neither is for import.
INTERNAL = ("mekeval.__main__", "mekeval.cli", "mekeval.render")


def public_modules() -> Iterator[types.ModuleType]:
    """The package, and each module right below it that has an `__all__`; what lies deeper is internal."""
    yield mekeval
    for found in pkgutil.iter_modules(mekeval.__path__, "mekeval."):
        if found.name not in INTERNAL:
            module = importlib.import_module(found.name)
            if hasattr(module, "__all__"):
                yield module


def interface() -> list[str]:
    """Everything that is public, a line for each name, parameter list, field and member."""
    lines: list[str] = []
    homes: dict[int, str] = {}
    for module in public_modules():
        lines.append(f"[{module.__name__}]")
        for name in sorted(module.__all__):
            thing = getattr(module, name)
            home = homes.get(id(thing)) if inspect.isclass(thing) or inspect.isroutine(thing) else None
            if home is not None:  # the same thing, said once
                lines.append(f"{name}: as {home}")
                continue
            homes[id(thing)] = f"{module.__name__}.{name}"
            lines += described(name, thing)
        lines.append("")
    return lines


def described(name: str, thing: object) -> Iterator[str]:
    """A name with all that a caller may rely on."""
    if inspect.isclass(thing):
        yield f"class {name}({', '.join(base.__name__ for base in thing.__bases__)})"
        yield from (f"  {line}" for line in members(thing))
    elif inspect.isroutine(thing):
        yield f"{name}{signature(thing)}"
    elif isinstance(thing, Mapping):
        yield f"{name}: {type(thing).__name__} of {', '.join(sorted(map(str, thing)))}"
    elif isinstance(thing, tuple | list | set | frozenset) and all(isinstance(one, str) for one in thing):
        yield f"{name}: {type(thing).__name__} of {', '.join(sorted(thing))}"
    else:
        yield f"{name}: {type(thing).__name__}"


def members(kind: type) -> Iterator[str]:
    """Fields, constructor, properties and methods; those of the library's own bases too."""
    fields: set[str] = set()
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            fields.add(field.name)
            optional = (
                field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            )
            yield f"{field.name}: {field.type}{' (optional)' if optional else ''}"
    elif issubclass(kind, BaseModel):
        for label, part in kind.model_fields.items():
            fields.add(label)
            yield f"{label}{'' if part.is_required() else ' (optional)'}"
    else:
        own = next(base for base in kind.__mro__ if "__init__" in vars(base))
        if own.__module__.startswith("mekeval"):
            yield f"__init__{signature(own.__init__)}"
    seen: dict[str, str] = {}
    for base in kind.__mro__:
        if not base.__module__.startswith("mekeval"):
            continue
        for name, member in vars(base).items():
            if name.startswith("_") or name in fields or name in seen:
                continue
            if isinstance(member, property):
                returned = member.fget.__annotations__.get("return", "") if member.fget else ""
                seen[name] = f"{name} -> {returned} (property)"
            elif isinstance(member, classmethod | staticmethod):
                seen[name] = f"{name}{signature(member.__func__)} ({type(member).__name__})"
            elif inspect.isfunction(member):
                seen[name] = f"{name}{signature(member)}"
            elif type(member).__name__ == "cached_property":
                seen[name] = f"{name} -> {member.func.__annotations__.get('return', '')} (property)"
    yield from (seen[name] for name in sorted(seen))


def signature(function: object) -> str:
    """Parameters as they stand in the source, the same in every version of Python."""
    found = inspect.signature(function)  # type: ignore[arg-type]
    parts: list[str] = []
    starred = False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        text = f"{stars}{parameter.name}"
        if parameter.annotation is not parameter.empty:
            text += f": {parameter.annotation}"
        if parameter.default is not parameter.empty:
            default = parameter.default
            text += f" = {getattr(default, '__qualname__', None) or repr(default)}"
        parts.append(text)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            last = [one.kind for one in found.parameters.values()].count(parameter.POSITIONAL_ONLY)
            if len(parts) == last:
                parts.append("/")
    returned = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    return f"({', '.join(parts)}){returned}"


def test_the_public_interface_is_as_written() -> None:
    written = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    now = "\n".join(interface()).splitlines()
    difference = [
        line
        for line in difflib.unified_diff(written, now, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    ]
    assert not difference, ADVICE + "\n".join(difference)


def test_a_changed_signature_is_seen() -> None:
    def before(frame: int, *, seed: int = 1) -> int:
        return frame + seed

    def after(frame: int, *, seed: int = 2) -> int:
        return frame + seed

    assert signature(before) == "(frame: int, *, seed: int = 1) -> int"
    assert signature(before) != signature(after)
    assert list(described("f", before)) == ["f(frame: int, *, seed: int = 1) -> int"]


def test_a_field_that_is_gone_is_seen() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Old:
        estimate: float
        n: int = 0

    assert list(members(Old)) == ["estimate: float", "n: int (optional)"]


def test_names_for_type_checkers_are_the_names_that_are_there() -> None:
    """`TYPE_CHECKING` imports and `_HOMES` of the package are two lists of the same names."""
    import ast

    tree = ast.parse(Path(mekeval.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: f"{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = dict(mekeval._HOME_OF)
    assert told == homes


def test_a_deprecated_function_warns_and_still_works() -> None:
    @deprecated(since="0.2", removed="0.4", use="infer")
    def test_effect(value: int) -> int:
        """An old way to ask."""
        return value + 1

    with pytest.warns(
        DeprecatedNameWarning, match=r"test_effect.*since 0\.2.*gone in 0\.4.*Use infer"
    ) as caught:
        assert test_effect(1) == 2
    assert caught[0].filename == __file__  # the caller's line, not the library's
    assert "Deprecated since 0.2" in (test_effect.__doc__ or "")
    assert signature(test_effect) == "(value: int) -> int"


def test_a_renamed_name_warns_and_is_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mekeval._RENAMED, "test_effects", ("infer", "0.2", "0.4"))
    with pytest.warns(DeprecatedNameWarning, match=r"mekeval\.test_effects.*Use mekeval\.infer") as caught:
        old = mekeval.test_effects
    assert old is mekeval.infer
    assert caught[0].filename == __file__
    assert "test_effects" not in mekeval.__all__


def test_nothing_deprecated_outlives_the_release_it_is_gone_in() -> None:
    now = tuple(map(int, mekeval.__version__.split(".")[:2]))
    for name, (_, _, removed) in mekeval._RENAMED.items():
        assert now < tuple(map(int, removed.split("."))), f"{name} was to be gone in {removed}: remove it"
        assert name not in mekeval.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = mekeval.no_such_name


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    SNAPSHOT.write_text("\n".join(interface()).rstrip() + "\n", encoding="utf-8")
    sys.stdout.write(f"{SNAPSHOT} is written. Say in CHANGELOG.md what has changed.\n")
