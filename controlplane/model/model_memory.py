"""How much GPU memory a language model needs, term by term, each with its formula.

    term           per GPU, of `tp` GPUs that share every layer (tensor parallelism)
    -------------  -------------------------------------------------------------------------
    weights        parameters x bits / 8 / tp
    KV cache       requests x tokens x 2 x layers x KV heads on this GPU x head dim x bytes
    activations    the largest layer of one batch, or the sampling of its last tokens
    runtime        CUDA context, CUDA graphs, NCCL's buffers: a constant

against `visible GPU memory x utilisation`, as vLLM and others reserve it.

Sources. Bytes per token of the KV cache: Kwon et al., "Efficient Memory Management for Large
Language Model Serving with PagedAttention" (SOSP 2023, https://arxiv.org/abs/2309.06180), section
3; its blocks of 16 tokens and `gpu_memory_utilization` 0.9 are vLLM's defaults. KV heads that are
fewer than the GPUs are copied to them, and heads must divide evenly, as in vLLM
(vllm/model_executor/models/llama.py). Latent attention caches one vector for all heads, on every
GPU: DeepSeek-AI, "DeepSeek-V2" (https://arxiv.org/abs/2405.04434), section 2.1. Quantised models
keep embeddings and head at 16 bits. The activation term is fitted to what vLLM logs at its start;
see the tests' table for how far it is off.
"""

import math
from typing import Final

import msgspec

from controlplane.model.model_shape import BITS, ModelError, ModelShape, Precision

GIB: Final = 2**30

KV_BLOCK_TOKENS: Final = 16
"""The cache is handed out in blocks of so many tokens."""

SAMPLED_SEQUENCES: Final = 256
"""Sequences that are sampled at once while the runtime measures itself (vLLM's `max_num_seqs`)."""

SAMPLING_BYTES: Final = 40
"""Per sequence and word of the vocabulary: logits, sorted copies, probabilities, indices. vLLM
logged 1.26 GiB for Llama-3-8B (128,256 words) whether on one GPU or on two."""


class Demand(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the model shall do."""

    context_tokens: int
    """Longest prompt and answer together."""
    concurrency: int = 1
    """Requests that have their whole context in memory at the same time."""
    precision: Precision = Precision.BF16
    """Of the weights."""
    kv_precision: Precision = Precision.BF16
    batch_tokens: int = 8192
    """Tokens in one forward pass (vLLM's `max_num_batched_tokens`)."""
    runtime_bytes: int = GIB
    """Per GPU: context, graphs, communication buffers."""
    utilisation: float = 0.9
    """Share of a GPU's visible memory that the runtime may take."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ModelError: Names the option and its range.
        """
        for name in ("context_tokens", "concurrency", "batch_tokens"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name}: must be 1 or more, not {getattr(self, name)}")
        if self.runtime_bytes < 0:
            raise ModelError("runtime_bytes: must be 0 or more")
        if not 0 < self.utilisation <= 1:
            raise ModelError(f"utilisation: must be above 0 and at most 1, not {self.utilisation}")
        if self.kv_precision is Precision.INT4:
            raise ModelError("kv_precision: caches are kept at 8 bits or more, not int4")


class Term(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One part of the memory of one GPU."""

    name: str
    size_bytes: int
    formula: str
    """How it comes about, with its numbers."""


class Footprint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The memory of one GPU of a replica."""

    gpus: int
    terms: tuple[Term, ...]
    """Weights, KV cache, activations, runtime: in this order."""

    @property
    def total_bytes(self) -> int:
        """All terms."""
        return sum(term.size_bytes for term in self.terms)

    @property
    def fixed_bytes(self) -> int:
        """All but the KV cache."""
        return self.total_bytes - self.terms[1].size_bytes


def divides(shape: ModelShape, gpus: int) -> str | None:
    """Why so many GPUs cannot share this model's layers; None: they can."""
    if shape.heads % gpus:
        return f"{shape.heads} heads do not divide by {gpus} GPUs"
    if shape.latent is None and shape.kv_heads % gpus and gpus % shape.kv_heads:
        return f"{shape.kv_heads} KV heads and {gpus} GPUs do not divide evenly"
    return None


def weight_bytes(shape: ModelShape, precision: Precision) -> int:
    """The weights of the whole model."""
    kept = shape.embedding_parameters if BITS[precision] < BITS[Precision.BF16] else 0
    kept = min(kept, shape.parameters)
    bits = (shape.parameters - kept) * BITS[precision] + kept * BITS[Precision.BF16]
    return math.ceil(bits / 8)


def kv_bytes_per_layer(shape: ModelShape, kv_precision: Precision, *, gpus: int = 1) -> int:
    """What one token keeps in one layer, on each of `gpus` GPUs."""
    size = int(BITS[kv_precision] / 8)
    if shape.latent is not None:
        return shape.latent * size
    return 2 * max(1, shape.kv_heads // gpus) * shape.head_dim * size


def kv_bytes_per_token(shape: ModelShape, kv_precision: Precision, *, gpus: int = 1) -> int:
    """What one token keeps in all layers, on each GPU, while all layers attend to it."""
    return shape.layers * kv_bytes_per_layer(shape, kv_precision, gpus=gpus)


def kv_bytes_per_request(shape: ModelShape, demand: Demand, *, gpus: int = 1) -> int:
    """What one request keeps on each GPU when its context is full."""
    per_layer = kv_bytes_per_layer(shape, demand.kv_precision, gpus=gpus)
    whole = _blocks(demand.context_tokens) * (shape.layers - shape.window_layers)
    seen = min(demand.context_tokens, shape.window or demand.context_tokens)
    return per_layer * (whole + _blocks(seen) * shape.window_layers)


def footprint(shape: ModelShape, demand: Demand, *, gpus: int = 1) -> Footprint:
    """The memory of one of `gpus` GPUs that share the model.

    Raises:
        ModelError: So many cannot share it.
    """
    if why := divides(shape, gpus):
        raise ModelError(f"gpus: {why}")
    return Footprint(
        gpus=gpus,
        terms=(
            _weights(shape, demand, gpus),
            _kv_cache(shape, demand, gpus),
            _activations(shape, demand, gpus),
            Term(
                name="runtime",
                size_bytes=demand.runtime_bytes,
                formula="CUDA context, CUDA graphs, communication buffers",
            ),
        ),
    )


def usable_bytes(visible_bytes: int, demand: Demand) -> int:
    """What may be used of a GPU that shows so much memory to programs."""
    return int(visible_bytes * demand.utilisation)


def requests_that_fit(shape: ModelShape, demand: Demand, *, gpus: int, visible_bytes: int) -> int:
    """How many requests may have their whole context in memory; 0: not one.

    Never more than the activations were computed for: a runtime takes no more at a time.
    """
    size = footprint(shape, demand, gpus=gpus)
    left = usable_bytes(visible_bytes, demand) - size.fixed_bytes
    fits = max(0, left // kv_bytes_per_request(shape, demand, gpus=gpus))
    return min(fits, max(SAMPLED_SEQUENCES, demand.concurrency))


def possible_gpus(shape: ModelShape, most: int) -> list[int]:
    """Numbers of GPUs that can share the model, 1 to `most`."""
    return [gpus for gpus in range(1, most + 1) if divides(shape, gpus) is None]


def _weights(shape: ModelShape, demand: Demand, gpus: int) -> Term:
    precision = demand.precision
    bits = BITS[precision]
    kept = shape.embedding_parameters if bits < BITS[Precision.BF16] else 0
    said = f"{shape.parameters - kept:,} parameters x {bits:g} bits"
    if kept:
        said = f"({said} + {kept:,} of embeddings x 16 bits)"
    return Term(
        name="weights",
        size_bytes=math.ceil(weight_bytes(shape, precision) / gpus),
        formula=f"{said} / 8 / {_many(gpus, 'GPU')}",
    )


def _kv_cache(shape: ModelShape, demand: Demand, gpus: int) -> Term:
    size = int(BITS[demand.kv_precision] / 8)
    if shape.latent is not None:
        per_token = f"{shape.latent} latent x {size} bytes, on every GPU"
    else:
        heads = max(1, shape.kv_heads // gpus)
        per_token = f"2 x {heads} KV heads x {shape.head_dim} x {size} bytes"
    whole = shape.layers - shape.window_layers
    tokens = []
    if whole:
        tokens.append(f"{_blocks(demand.context_tokens):,} tokens x {whole} layers")
    if shape.window_layers and shape.window is not None:
        seen = _blocks(min(demand.context_tokens, shape.window))
        tokens.append(f"{seen:,} tokens x {shape.window_layers} layers with a sliding window")
    return Term(
        name="KV cache",
        size_bytes=demand.concurrency * kv_bytes_per_request(shape, demand, gpus=gpus),
        formula=f"{_many(demand.concurrency, 'request')} x ({' + '.join(tokens)}) x {per_token}",
    )


def _activations(shape: ModelShape, demand: Demand, gpus: int) -> Term:
    width = shape.intermediate or 4 * shape.hidden
    stream = 2 * demand.batch_tokens * shape.hidden * 2
    # Gate, up, and their product.
    layer = 3 * demand.batch_tokens * math.ceil(width / gpus) * 2
    sequences = max(SAMPLED_SEQUENCES, demand.concurrency)
    sampling = sequences * (shape.vocabulary or 0) * SAMPLING_BYTES
    if layer >= sampling:
        largest = f"3 x {demand.batch_tokens:,} tokens x {width:,} / {gpus} x 2 bytes"
    else:
        largest = f"{sequences} sequences x {shape.vocabulary:,} words x {SAMPLING_BYTES} bytes"
    return Term(
        name="activations",
        size_bytes=stream + max(layer, sampling),
        formula=f"2 x {demand.batch_tokens:,} tokens x {shape.hidden:,} x 2 bytes + {largest}",
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _blocks(tokens: int) -> int:
    """Tokens rounded up to whole blocks."""
    return -(-tokens // KV_BLOCK_TOKENS) * KV_BLOCK_TOKENS
