"""Commands that run a model: generate, fill, predict, embed."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from qkv.cli.app import NO_OUTPUT, Dtype, Flags, app, read_texts, show

Name = Annotated[str, Parameter(help="A folder with a model, or a name on the hub.")]
Truncate = Annotated[bool, Parameter(negative="", help="Cut texts that are too long.")]
Stride = Annotated[int | None, Parameter(help="Read long texts in pieces that share so many tokens.")]
Texts = Annotated[list[str] | None, Parameter(help='Texts; "-" or none reads stdin, a text per line.')]


@app.command
def generate(
    model: Name,
    prompts: Texts = None,
    /,
    *,
    n_tokens: Annotated[int, Parameter(help="Tokens to write at most.")] = 40,
    bos: Annotated[bool, Parameter(negative="", help="Let an empty prompt begin as a text begins.")] = False,
    temperature: Annotated[float | None, Parameter(help="Draw tokens; below 1 prefers likely ones.")] = None,
    top_k: Annotated[int | None, Parameter(help="Draw from the k likeliest.")] = None,
    top_p: Annotated[float | None, Parameter(help="Draw from the likeliest with this probability together.")] = None,
    min_p: Annotated[float | None, Parameter(help="Draw from those so probable, beside the likeliest.")] = None,
    repetition_penalty: Annotated[float | None, Parameter(help="Above 1: what was there gets less likely.")] = None,
    seed: Annotated[int, Parameter(help="Of what is drawn.")] = 0,
    beams: Annotated[int, Parameter(help="Search for the likeliest text with so many beams.")] = 1,
    stop: Annotated[
        list[str] | None, Parameter(negative="", help="End before this string; may be given again.")
    ] = None,
    dtype: Dtype = "fp32",
    output: Flags = NO_OUTPUT,
) -> None:
    """Go on with texts. The likeliest token is taken, unless an option says how to draw."""
    from qkv.screen.answers import show_written
    from qkv.verbs.generate import generate

    texts = [""] if bos and not prompts and sys.stdin.isatty() else read_texts(prompts)
    live = len(texts) == 1 and not output.json and beams == 1
    unsaid = iter(texts)  # shown with the first token, since what cannot be gone on with is not
    written = generate(
        model,
        texts,
        n_tokens=n_tokens,
        bos=bos,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        beams=beams,
        stop=stop or (),
        stream=(lambda _, ids, text: print(next(unsaid, "") + text, end="", flush=True)) if live else None,
        dtype=dtype,
    )
    if live:
        print(next(unsaid, ""), flush=True)
    else:
        show(written, show_written, output, wrap=False)
    if any(one.why == "interrupted" for one in written):
        sys.exit(130)


@app.command
def fill(
    model: Name,
    texts: Texts = None,
    /,
    *,
    top: Annotated[int, Parameter(help="How many tokens to tell for each gap.")] = 5,
    dtype: Dtype = "fp32",
    output: Flags = NO_OUTPUT,
) -> None:
    """Guess the hidden words of texts: put [MASK] (or <mask>, as the model writes it) where one is missing."""
    from qkv.screen.answers import show_guesses
    from qkv.verbs.read import fill

    show(fill(model, read_texts(texts), top=top, dtype=dtype), show_guesses, output)


@app.command
def predict(
    model: Name,
    inputs: Annotated[list[str] | None, Parameter(help='Texts, or picture files; "-" reads texts from stdin.')] = None,
    /,
    *,
    top: Annotated[int, Parameter(help="How many labels to tell for each.")] = 5,
    truncate: Truncate = False,
    stride: Stride = None,
    dtype: Dtype = "fp32",
    output: Flags = NO_OUTPUT,
) -> None:
    """Label texts or pictures with a model that has a head for labels."""
    from qkv.screen.answers import show_labels
    from qkv.verbs.read import predict

    found = predict(model, read_texts(inputs), top=top, truncate=truncate, stride=stride, dtype=dtype)
    show(found, show_labels, output)


@app.command
def embed(
    model: Name,
    inputs: Annotated[list[str] | None, Parameter(help='Texts, or picture files; "-" reads texts from stdin.')] = None,
    /,
    *,
    save: Annotated[Path | None, Parameter(help="Write the vectors to a .npy file.")] = None,
    truncate: Truncate = False,
    stride: Stride = None,
    dtype: Dtype = "fp32",
    output: Flags = NO_OUTPUT,
) -> None:
    """Turn texts or pictures into one vector each; without --save or --json their cosines are shown."""
    from qkv.screen.answers import show_vectors
    from qkv.verbs.read import embed

    done = embed(model, read_texts(inputs), save=save, truncate=truncate, stride=stride, dtype=dtype)
    if save:
        Console(stderr=True).print(f"{len(done.vectors)} vectors of {done.vectors.shape[1]} numbers in {save}.")
    else:
        show(done, show_vectors, output)
