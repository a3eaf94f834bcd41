"""The command line: ``python -m training {phantom,sheet,fit,preprocess,predict,evaluate,cross-validate,...}``.

Exit codes: 0 success; 1 failure; 2 unusable input, with one line on standard error that says what and where. Tables go
to standard output, progress and messages to standard error. Heavy imports wait until a command needs them, so that
``--help`` is fast.
"""

from __future__ import annotations

import typer

from training.cli import (
    card,
    cross_validate,
    evaluate,
    export,
    fit,
    fit_site,
    learning_curve,
    models,
    phantom,
    predict,
    preprocess,
    render,
    sheet,
)
from training.cli.common import InputErrorGroup, silence_native_libraries

app = typer.Typer(
    name="python -m training",
    cls=InputErrorGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Synthetic cases, training, preprocessing, segmentation, evaluation and model versions of TumorLoop.",
    epilog="Each command has its own `--help` with examples. Research use only.",
)
app.command("phantom")(phantom.phantom)
app.command("sheet")(sheet.sheet)
app.command("fit")(fit.fit)
app.command("predict")(predict.predict)
app.command("preprocess")(preprocess.preprocess)
app.command("evaluate")(evaluate.evaluate)
app.command("cross-validate")(cross_validate.cross_validate)
app.command("fit-site")(fit_site.fit_site)
app.command("learning-curve")(learning_curve.learning_curve)
app.command("card")(card.card)
app.command("render")(render.render)
app.command("export")(export.export)
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command line and exit."""
    silence_native_libraries()
    app(prog_name="python -m training")
