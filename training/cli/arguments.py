"""The command line before it is parsed."""

from __future__ import annotations

from collections.abc import Sequence

from training.cluster.connection import LOCAL, is_address


def with_ray_address(arguments: Sequence[str]) -> list[str]:
    """Give ``--ray`` without an address its value, which the parser of the command line cannot do.

    Examples:
        >>> with_ray_address(["predict", "--ray", "cases"]), with_ray_address(["predict", "--ray", "auto"])
        (['predict', '--ray=local', 'cases'], ['predict', '--ray=auto'])
    """
    if "--ray" not in arguments:
        return list(arguments)
    result: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return [*result, argument, *waiting]
        if argument == "--ray":
            argument = f"--ray={waiting.pop(0) if waiting and is_address(waiting[0]) else LOCAL}"
        result.append(argument)
    return result
