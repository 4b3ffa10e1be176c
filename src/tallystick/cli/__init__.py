"""The command line: `tallystick …`."""

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def root() -> None:
    """Usage-based billing that is provably right."""


def main() -> None:
    """Run the command line."""
    app()
