"""`./scripts/demo --keep` ends with the address of the console."""

import io

from rich.console import Console

from demo import show_how_to_go_on
from tests.console.system import System


def test_the_last_line_of_the_demo_is_the_address_to_open(system: System) -> None:
    printed = io.StringIO()
    show_how_to_go_on(Console(file=printed), system.stack, system.gateway, system.console)
    last = printed.getvalue().rstrip().splitlines()[-1]
    assert last == f"Open {system.console_url}"
    assert system.ask("GET", f"/?{last.partition('/?')[2]}").status == 303
