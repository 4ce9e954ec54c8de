"""`tidegate size`: what a language model needs of GPUs, every term with its formula."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controlplane.catalogue import read_catalogue
from controlplane.cli import options
from controlplane.cli.errors import CliError, ExitCode
from controlplane.cli.output import print_json, print_table, say, warn
from controlplane.cli.settings import load_settings
from controlplane.cli.specs import usage
from controlplane.model.bundles import Bundle
from controlplane.model.model_memory import (
    GIB,
    Demand,
    kv_bytes_per_request,
    kv_bytes_per_token,
)
from controlplane.model.model_placement import (
    TARGET_RATIO,
    Placement,
    Rejection,
    needed_gpu_memory,
    place_on_bundles,
    place_on_gpus,
)
from controlplane.model.model_shape import ModelError, ModelShape, Precision, shape_from_config
from controlplane.model.settings import SettingsError
from controlplane.wire.sizes import parse_size

_COUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMBT]?)", re.IGNORECASE)
_THOUSANDS: Final = {"": 0, "K": 1, "M": 2, "B": 3, "T": 4}
_WITHOUT_UNIT: Final = re.compile(r"0*[1-9][0-9]*(\.[0-9]+)?|0*\.[0-9]+")

_OPTIONS: Final = {
    "parameters": "--parameters",
    "context_tokens": "--context",
    "concurrency": "--concurrency",
    "batch_tokens": "--batch-tokens",
    "runtime_bytes": "--runtime-memory",
    "utilisation": "--utilisation",
    "kv_precision": "--kv-precision",
}
"""By the model's name of what it says is wrong."""
_SHAPE_OPTIONS: Final = {
    "layers": "--layers",
    "heads": "--heads",
    "kv_heads": "--kv-heads",
    "head_dim": "--head-dim",
    "hidden": "--hidden",
    "vocabulary": "--vocabulary",
}
"""Those that describe the model where there is no config.json."""


def size(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG]", help="A Hugging Face config.json. Or give the shape."),
    ] = None,
    *,
    parameters: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT",
            help="All parameters, for example 8B or 7.24B; of a mixture of experts all experts'. "
            "Default: counted from CONFIG.",
        ),
    ] = None,
    layers: Annotated[int | None, typer.Option(min=1, help="Layers.")] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="Attention heads.")] = None,
    kv_heads: Annotated[
        int | None, typer.Option(min=1, help="Key-value heads. Default: as many as heads.")
    ] = None,
    head_dim: Annotated[
        int | None, typer.Option(min=1, help="Width of a head. Default: hidden / heads.")
    ] = None,
    hidden: Annotated[int | None, typer.Option(min=1, help="Width of the model.")] = None,
    vocabulary: Annotated[
        int | None, typer.Option(min=1, help="Words of the tokeniser, for the activations.")
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of the weights. Default: what CONFIG says, else bf16."),
    ] = None,
    kv_precision: Annotated[
        Precision | None,
        typer.Option(help="Of the KV cache. Default: fp32 for fp32 weights, else bf16."),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens of a request and its answer. Default: CONFIG's most."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Requests at a time per replica, at the whole context.")
    ] = 1,
    batch_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens in one forward pass (max_num_batched_tokens).")
    ] = 8192,
    runtime_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="CUDA context, graphs and buffers, per GPU.")
    ] = "1GiB",
    utilisation: Annotated[
        float,
        typer.Option(help="Share of a GPU's memory to use, 0 to 1 (gpu_memory_utilization)."),
    ] = 0.9,
    gpu_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory that one GPU shows to programs, for example 79GiB: how many of those, "
            "whatever the catalogue.",
        ),
    ] = None,
    bundles: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Catalogue of bundles (YAML). Default: `api.bundles_file`, else the examples.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Size a language model: GPU memory, GPUs per replica, bundle, concurrency target.

    Weights, KV cache, activations and runtime are computed from the model's shape: from a
    config.json, or from --parameters, --layers, --heads and --hidden. They are estimates of a
    paged runtime like vLLM: measure before you rely on the last ten percent.
    """
    given = {
        "layers": layers,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "hidden": hidden,
        "vocabulary": vocabulary,
    }
    try:
        shape = _shape(config, _parameters(parameters), given)
        demand = Demand(
            context_tokens=_context(context, shape),
            concurrency=concurrency,
            precision=precision or shape.precision or Precision.BF16,
            kv_precision=kv_precision or _kv_default(precision or shape.precision),
            batch_tokens=batch_tokens,
            runtime_bytes=_bytes("--runtime-memory", runtime_memory),
            utilisation=utilisation,
        )
        if gpu_memory is not None:
            where = place_on_gpus(shape, demand, visible_bytes=_bytes("--gpu-memory", gpu_memory))
        else:
            where = place_on_bundles(shape, demand, _catalogue(bundles))
        report = _report(shape, demand, *where)
    except ModelError as exc:
        field, colon, rest = str(exc).partition(":")
        known = _OPTIONS if config is not None else _OPTIONS | _SHAPE_OPTIONS
        said = known.get(field, field) + colon + rest
        raise usage(said, "`tidegate size --help` lists every option.") from exc
    for note in report["notes"]:
        warn(f"note: {note}")
    if as_json:
        print_json(report)
    else:
        _print(shape, demand, *where)
    if where[0] is None:
        raise CliError(
            "no bundle takes it" if gpu_memory is None else "no number of such GPUs takes it",
            hint="Use a lower precision, less context or concurrency, or larger GPUs.",
        )


def _shape(config: Path | None, parameters: int | None, given: dict[str, int | None]) -> ModelShape:
    stated = {name: value for name, value in given.items() if value is not None}
    if config is not None:
        if stated:
            option = f"--{next(iter(stated)).replace('_', '-')}"
            raise usage(
                f"{option} and a config.json both describe the model",
                "Leave one out; --parameters may be given with it.",
            )
        return shape_from_config(_read(config), parameters=parameters)
    missing = [f"--{name}" for name in ("layers", "heads", "hidden") if name not in stated]
    if parameters is None:
        missing.insert(0, "--parameters")
    if missing:
        raise usage(
            f"the model's shape is not known: {', '.join(missing)} missing",
            "Give them, or the path of its config.json.",
        )
    heads, hidden = stated["heads"], stated["hidden"]
    if "head_dim" not in stated and hidden % heads:
        raise usage(
            f"--hidden {hidden} does not divide by --heads {heads}",
            "Say the width of a head with --head-dim.",
        )
    return ModelShape(
        parameters=parameters or 0,
        layers=stated["layers"],
        heads=heads,
        kv_heads=stated.get("kv_heads", heads),
        head_dim=stated.get("head_dim", hidden // heads),
        hidden=hidden,
        vocabulary=stated.get("vocabulary"),
        embedding_parameters=2 * stated.get("vocabulary", 0) * hidden,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise usage(f"cannot read {path}: {exc.strerror}", "Give a model's config.json.") from exc
    except (ValueError, RecursionError) as exc:
        raise usage(f"{path} is not JSON: {exc}", "Give a model's config.json.") from exc
    if not isinstance(found, dict):
        raise usage(f"{path} does not hold an object", "Give a model's config.json.")
    return found


def _parameters(text: str | None) -> int | None:
    if text is None:
        return None
    match = _COUNT.fullmatch(text.strip())
    count = int(Decimal(match[1]) * 1000 ** _THOUSANDS[match[2].upper()]) if match else 0
    if count < 1:
        raise usage(f"--parameters {text!r} is not a count", "For example: --parameters 7.24B")
    return count


def _bytes(option: str, text: str) -> int:
    if _WITHOUT_UNIT.fullmatch(text.strip()):
        plain = text.strip()
        raise usage(
            f"{option} {plain} has no unit", f"Write {plain}GiB, or {plain}B if you mean bytes."
        )
    try:
        return parse_size(text)
    except ValueError as exc:
        raise usage(f"{option}: {exc}", f"For example: {option} 80GiB") from exc


def _context(context: int | None, shape: ModelShape) -> int:
    if context is not None:
        return context
    if shape.longest_context is None:
        raise usage("--context is missing", "Tokens of a request and its answer together.")
    return shape.longest_context


def _kv_default(weights: Precision | None) -> Precision:
    return Precision.FP32 if weights is Precision.FP32 else Precision.BF16


def _catalogue(path: Path | None) -> tuple[Bundle, ...]:
    if path is None:
        settings, _ = load_settings()
        file = settings.api.bundles_file
    else:
        file = str(path)
    try:
        return read_catalogue(file)
    except SettingsError as exc:
        raise CliError(str(exc), code=ExitCode.USAGE) from exc


def _report(
    shape: ModelShape,
    demand: Demand,
    placement: Placement | None,
    rejected: tuple[Rejection, ...],
) -> dict[str, Any]:
    """The whole answer, as `--json` prints it."""
    gpus = 1 if placement is None else placement.gpus
    return {
        "model": shape,
        "demand": demand,
        "kvBytesPerToken": kv_bytes_per_token(shape, demand.kv_precision),
        "kvBytesPerRequestAndGpu": kv_bytes_per_request(shape, demand, gpus=gpus),
        "neededPerGpu": [
            {"gpus": count, "visibleBytes": needed}
            for count, needed in needed_gpu_memory(shape, demand)
        ],
        "placement": placement,
        "rejected": rejected,
        "notes": _notes(shape, demand),
    }


def _notes(shape: ModelShape, demand: Demand) -> list[str]:
    notes = list(shape.notes)
    if shape.longest_context is not None and demand.context_tokens > shape.longest_context:
        notes.append(f"the model was made for {shape.longest_context:,} tokens of context")
    return notes


def _print(
    shape: ModelShape,
    demand: Demand,
    placement: Placement | None,
    rejected: tuple[Rejection, ...],
) -> None:
    requests = "1 request" if demand.concurrency == 1 else f"{demand.concurrency} requests"
    say(
        f"{shape.parameters / 1e9:.2f} B parameters in {demand.precision}, KV cache in"
        f" {demand.kv_precision}: {kv_bytes_per_token(shape, demand.kv_precision):,} bytes per"
        f" token; {requests} of {demand.context_tokens:,} tokens"
    )
    say()
    if placement is not None:
        _print_placement(demand, placement)
    say("memory that each GPU must show to programs, by GPUs per replica:")
    needed = needed_gpu_memory(shape, demand)
    print_table(["gpus", "GiB each"], [[n, f"{size_bytes / GIB:.1f}"] for n, size_bytes in needed])
    if rejected:
        say()
        say("will not do:")
        for entry in rejected:
            say(f"  {entry.bundle}: {entry.reason}")


def _print_placement(demand: Demand, placement: Placement) -> None:
    found = placement.footprint
    rows = [[term.name, f"{term.size_bytes / GIB:.2f}", term.formula] for term in found.terms]
    rows.append(["together", f"{found.total_bytes / GIB:.2f}", "per GPU"])
    how = f"{placement.visible_bytes / GIB:.4g} GiB visible"
    if placement.visible_bytes != placement.gpu_memory_bytes:
        how += f" (of {placement.gpu_memory_bytes / GIB:g})"
    how += f" x {demand.utilisation:g} utilisation"
    rows.append(["usable", f"{placement.usable_bytes / GIB:.2f}", how])
    print_table(["per GPU", "GiB", "how"], rows)
    say()
    bundle = f", bundle {placement.bundle}" if placement.bundle else ""
    if placement.price_per_hour is not None:
        bundle += f", {placement.price_per_hour:g} per hour"
    say(f"GPUs per replica: {placement.gpus}{bundle}")
    say(
        f"concurrency: {placement.concurrency_limit} at the whole context"
        f" (concurrencyLimitPerReplica); target {placement.concurrency_target}"
        f" (httpRequestsConcurrency, {TARGET_RATIO:.0%} of it)"
    )
    say()
