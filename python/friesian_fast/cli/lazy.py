"""Command groups whose modules are imported only when their command runs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from friesian_fast.cli.errors import missing_extra


class Target(NamedTuple):
    """Where a command lives, as ``module:attribute``, and its line in the help."""

    path: str
    help: str


class LazyCommand(TyperCommand):
    """A name and a help line now; the real command when it is called."""

    def __init__(self, name: str, target: Target) -> None:
        super().__init__(name, help=target.help)
        self._path = target.path

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """Load the real command; its context runs it."""
        return self._load().make_context(info_name, args, *rest, **extra)

    def _load(self) -> Any:
        module, _, attribute = self._path.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise missing_extra(error, f"'{self.name}'") from error
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode="rich")
            app.command()(found)
            found = app
        command = get_command(found)
        command.name = self.name
        return command


def lazy_group(targets: Mapping[str, Target]) -> type[TyperGroup]:
    """A group class for `typer.Typer(cls=...)` with these commands, in this order."""

    class Group(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(targets)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            target = targets.get(cmd_name)
            return LazyCommand(cmd_name, target) if target else None

    return Group
