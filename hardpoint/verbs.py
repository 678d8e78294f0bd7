"""What all verbs share: settings from a file, settings kept with results, talk on request."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from hardpoint import settings
from hardpoint.errors import InputError

__all__ = ["App", "one_of"]

Verb = TypeVar("Verb", bound=Callable[..., Any])

RESULTS = ("out", "store", "study")
"""Options whose value is a result that keeps the settings it was made with."""

NOT_SETTINGS = ("config", "verbose", "json", "help")


class App(typer.Typer):
    """An application of which every command also takes `--config` and `--verbose`, and keeps its settings with its results."""

    def command(self, name: str | None = None, **keywords: Any) -> Callable[[Verb], Verb]:
        """Register a verb, as typer does."""
        register = super().command(name, **keywords)

        def registered(verb: Verb) -> Verb:
            register(_with_common(verb))
            return verb

        return registered


def one_of(*values: str) -> Callable[[str], list[str]]:
    """What a shell offers as an option's value: those of `values` that begin as typed.

    >>> one_of("emulator", "csim", "rtl")("c")
    ['csim']
    """
    return lambda incomplete: [value for value in values if value.startswith(incomplete)]


def _configure(context: typer.Context, path: Path | None) -> Path | None:
    """Take what a file says as the defaults of this command line's options; runs before they are read."""
    if path is None or context.resilient_parsing:
        return path
    verb = str(context.info_name)
    commands = context.find_root().command.commands  # type: ignore[attr-defined]
    known = {
        name: {settings.key_of(p): p for p in command.params if settings.key_of(p) not in ("config", "help")}
        for name, command in commands.items()
    }
    tables = settings.load(path, known)
    if verb not in tables:
        raise InputError(f"{path} says nothing about {verb}: it has no table [{verb}]")
    values = {}
    for key, value in tables[verb].items():
        parameter = known[verb][key]
        try:
            values[parameter.name] = settings.typed(
                value, getattr(parameter, "is_flag", False), getattr(parameter, "multiple", False)
            )
            parameter.process_value(context, values[parameter.name])
        except InputError as error:
            raise InputError(f"{path}: [{verb}] {key} {error}") from None
        except Exception as error:
            # typer carries a click of its own: its usage errors are known by their message alone
            if not hasattr(error, "format_message"):
                raise
            raise InputError(f"{path}: [{verb}] {key} = {value!r}: {getattr(error, 'message', '')}") from None
    context.default_map = values
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE.toml", is_eager=True, callback=_configure,
        help="Take what is not said here from this file's table of the verb; keys are long options.",
    ),
]  # fmt: skip
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say on standard error what is done with which settings, and where an error arose.")
]


def _with_common(verb: Callable[..., Any]) -> Callable[..., Any]:
    """`verb` with the options that all verbs have."""
    not_imported = {"Array": Any}  # only for type checkers: help must not wait for NumPy
    own = inspect.signature(verb, locals=not_imported, eval_str=True)

    @functools.wraps(verb)
    def wrapped(context: typer.Context, config: Path | None, verbose: bool, **values: Any) -> Any:
        said = _effective(context)
        if verbose:
            _talk(str(context.info_name), said)
        begun = time.perf_counter()
        try:
            value = verb(**values)
        except (typer.Exit, KeyboardInterrupt):  # what was finished is kept, with its settings
            _keep(context, values, said)
            raise
        _keep(context, values, said)
        if verbose:
            import logging

            logging.getLogger("hardpoint").info("done after %.1f s", time.perf_counter() - begun)
        return value

    kind = inspect.Parameter.KEYWORD_ONLY
    common = [
        inspect.Parameter("context", kind, annotation=typer.Context),
        *(parameter.replace(kind=kind) for parameter in own.parameters.values()),
        inspect.Parameter("config", kind, annotation=Config, default=None),
        inspect.Parameter("verbose", kind, annotation=Verbose, default=False),
    ]
    del wrapped.__wrapped__  # typer would take the types there
    wrapped.__signature__ = own.replace(parameters=common)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in common}
    return wrapped


def _effective(context: typer.Context) -> dict[str, Any]:
    """The settings of this run by key, whether they come from the command line, a file or a default."""
    named = {parameter.name: settings.key_of(parameter) for parameter in context.command.params}
    return {key: context.params[name] for name, key in named.items() if name in context.params and key not in NOT_SETTINGS}


def _keep(context: typer.Context, values: dict[str, Any], said: dict[str, Any]) -> None:
    """Keep the settings with the results; a report shows those of what it reports instead, a plan has none."""
    verb = str(context.info_name)
    results = [values[name] for name in RESULTS if values.get(name) is not None]
    if results and verb != "report" and not values.get("plan"):
        text = settings.as_toml(verb, said)
        for result in results:
            settings.note(result, verb, text)


def quiet() -> None:
    """Forget the `--verbose` of a call before, in the same process."""
    import logging

    logger = logging.getLogger("hardpoint")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def _talk(verb: str, said: dict[str, Any]) -> None:
    """Let all of Hardpoint's modules say on standard error what they do."""
    import logging

    from hardpoint import __version__

    logger = logging.getLogger("hardpoint")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(relativeCreated)7d ms  %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.info("hardpoint %s, settings:\n%s", __version__, settings.as_toml(verb, said).rstrip())
