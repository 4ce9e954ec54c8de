"""What a language model's memory depends on, from options or from a Hugging Face `config.json`.

Attention is told apart by what it caches per token and layer:

    kind                       caches                        configuration
    -------------------------  ----------------------------  ------------------------------------
    multi-head, grouped-query  key and value of `kv_heads`   see `_kv_heads`
    sliding window             the same, of the last tokens  sliding_window, layer_types
    latent (MLA)               one vector for all heads      kv_lora_rank + qk_rope_head_dim

Refused, with a sentence, is what the formulas do not describe: state-space and linear attention,
encoder-decoders.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec


class ModelError(ValueError):
    """A model that cannot be sized; the text names the field and what to do."""


class Precision(StrEnum):
    """How numbers are kept."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    FP8 = "fp8"
    INT8 = "int8"
    INT4 = "int4"


BITS: Final = {
    Precision.FP32: 32.0,
    Precision.BF16: 16.0,
    Precision.FP16: 16.0,
    Precision.FP8: 8.0,
    Precision.INT8: 8.0,
    # AWQ and GPTQ: a 16-bit scale and a 4-bit zero point for every group of 128 weights.
    Precision.INT4: 4 + 20 / 128,
}
"""Bits of one number."""


class ModelShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The dimensions of a decoder that generates text."""

    parameters: int
    """All of them: of a mixture of experts every expert, since every one is loaded."""
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    intermediate: int | None = None
    """Width of the feed-forward part that one token passes. None: not known, 4 x hidden."""
    vocabulary: int | None = None
    embedding_parameters: int = 0
    """Of `parameters`, those of embeddings and output head: quantised models keep them at 16
    bits. 0: not known, then all count as quantised."""
    window: int | None = None
    """Tokens that layers with a sliding window attend to."""
    window_layers: int = 0
    latent: int | None = None
    """Width of the one vector that multi-head latent attention caches per token and layer."""
    longest_context: int | None = None
    precision: Precision | None = None
    """As the weights are published; None: not said."""
    notes: tuple[str, ...] = ()
    """What was assumed."""

    def __post_init__(self) -> None:
        """Refuse dimensions that no model has.

        Raises:
            ModelError: One is not positive, or they contradict each other.
        """
        for name in ("parameters", "layers", "heads", "kv_heads", "head_dim", "hidden"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name}: must be 1 or more, not {getattr(self, name)}")
        if self.heads % self.kv_heads:
            raise ModelError(
                f"kv_heads: {self.heads} heads cannot share {self.kv_heads} key-value heads evenly;"
                " give a divisor of the number of heads"
            )


_GATED: Final = frozenset({"llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen3_moe"})
"""Model types whose parameters can be counted: three matrices per feed-forward part, no biases
but Qwen2's."""

_MULTI_QUERY: Final = frozenset({"falcon", "gpt_bigcode"})
"""Model types that share one key-value head unless they say something else (the defaults of
FalconConfig and GPTBigCodeConfig in huggingface/transformers)."""

_MULTI_HEAD: Final = frozenset(
    {
        *("bloom", "codegen", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "mpt", "opt"),
        *("persimmon", "phi", "qwen", "stablelm", "xglm"),
    }
)
"""Model types in which every head is a key-value head where they say nothing else."""

_NO_ATTENTION: Final = ("ssm_cfg", "state_size", "mamba_d_state", "attn_layer_period", "rwkv")

_TYPES: Final = {
    "float32": Precision.FP32,
    "bfloat16": Precision.BF16,
    "float16": Precision.FP16,
}
_OUTER: Final = (
    "model_type",
    "torch_dtype",
    "dtype",
    "quantization_config",
    "tie_word_embeddings",
)
"""What a model with several parts may say outside of its text part."""

_QUANTISED: Final = {
    ("4", "int"): Precision.INT4,
    ("8", "int"): Precision.INT8,
    ("8", "float"): Precision.FP8,
}
"""By bits and kind of number."""


def shape_from_config(config: Mapping[str, object], *, parameters: int | None = None) -> ModelShape:
    """A model's shape from its `config.json`.

    Args:
        config: The parsed file.
        parameters: How many parameters it has, where the caller knows; else they are counted,
            which works for the Llama family (Llama, Mistral, Mixtral, Qwen2, Qwen3).

    Raises:
        ModelError: Something is missing, or the model is of a kind that is not described.
    """
    notes: list[str] = []
    text = config.get("text_config")
    if isinstance(text, Mapping):
        notes.append("only the text part (text_config) is sized: encoders of images are not in it")
        config = {name: config[name] for name in _OUTER if name in config} | dict(text)
    _refuse_other_kinds(config)
    reader = _Reader(config)
    core = _core(reader, _kv_heads(config, reader, notes))
    rank = reader.maybe("kv_lora_rank")
    window, window_layers = _window(config, reader, core.layers, notes)
    if parameters is None:
        parameters = _counted(config, reader, core)
    if parameters is None:
        kind = config.get("model_type") or "unknown"
        raise ModelError(
            f"parameters: they cannot be counted for model_type {kind!r}; say how many there are,"
            " for example --parameters 13B"
        )
    return ModelShape(
        parameters=parameters,
        layers=core.layers,
        heads=core.heads,
        kv_heads=core.kv_heads,
        head_dim=core.head_dim,
        hidden=core.hidden,
        intermediate=_active_intermediate(reader),
        vocabulary=core.vocabulary,
        embedding_parameters=core.hidden * (core.vocabulary or 0) * _embeddings(config),
        window=window,
        window_layers=window_layers,
        latent=None if rank is None else rank + reader.whole("qk_rope_head_dim"),
        longest_context=reader.maybe("max_position_embeddings", "n_positions"),
        precision=_precision(config),
        notes=tuple(notes),
    )


class _Core(NamedTuple):
    """What every configuration has."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int | None


def _core(reader: "_Reader", kv_heads: int | None) -> _Core:
    hidden = reader.whole("hidden_size", "n_embd", "d_model")
    heads = reader.whole("num_attention_heads", "n_head", "n_heads")
    return _Core(
        hidden=hidden,
        layers=reader.whole("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        heads=heads,
        kv_heads=kv_heads or heads,
        head_dim=reader.maybe("head_dim") or hidden // heads,
        vocabulary=reader.maybe("vocab_size"),
    )


def _kv_heads(config: Mapping[str, object], reader: "_Reader", notes: list[str]) -> int | None:
    """How many key-value heads there are; None: as many as heads.

    The rules of `get_total_num_kv_heads` in vllm-project/vllm:

        gpt_bigcode     1 with multi_query
        falcon          1 with multi_query, but num_kv_heads with new_decoder_architecture
        chatglm         multi_query_group_num with multi_query_attention
        dbrx, mpt       attn_config.kv_n_heads
        others          num_key_value_heads, num_kv_heads, n_head_kv
    """
    kind = str(config.get("model_type"))
    grouped = config.get("new_decoder_architecture") is True
    if config.get("multi_query", kind in _MULTI_QUERY) is True and not grouped:
        return 1
    found = reader.maybe("num_key_value_heads", "num_kv_heads", "n_head_kv")
    if found is None and config.get("multi_query_attention") is True:
        found = reader.maybe("multi_query_group_num")
    if found is None:
        found = _Reader(_mapping(config.get("attn_config"))).maybe("kv_n_heads")
    said = {"multi_query", "multi_query_attention", "kv_lora_rank"} & config.keys()
    if found is None and not said and kind not in _MULTI_HEAD:
        notes.append(
            "num_key_value_heads is not said: every head is taken as a key-value head; where heads"
            " share them the cache is smaller than this"
        )
    return found


def _refuse_other_kinds(config: Mapping[str, object]) -> None:
    if config.get("is_encoder_decoder") is True:
        raise ModelError("is_encoder_decoder: only decoders are sized, encoder-decoders are not")
    kinds = config.get("layer_types")
    other = [name for name in _NO_ATTENTION if name in config]
    if isinstance(kinds, list):
        other += sorted({str(k) for k in kinds} - {"full_attention", "sliding_attention"})
    if other:
        raise ModelError(
            f"{other[0]}: layers without ordinary attention (state-space, linear) are not described"
            " by these formulas; measure such a model instead"
        )


class _Reader:
    """Whole numbers of a configuration, under whichever name it has them."""

    def __init__(self, config: Mapping[str, object]) -> None:
        self._config = config

    def maybe(self, *names: str) -> int | None:
        for name in names:
            value = self._config.get(name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ModelError(f"{name}: must be a whole number above 0, not {value!r}")
            return value
        return None

    def whole(self, *names: str) -> int:
        found = self.maybe(*names)
        if found is None:
            raise ModelError(f"{names[0]}: missing; is this the config.json of a language model?")
        return found


def _embeddings(config: Mapping[str, object]) -> int:
    """How many matrices of vocabulary x hidden there are: one where input and output share it."""
    return 1 if config.get("tie_word_embeddings") is True else 2


def _active_intermediate(reader: _Reader) -> int | None:
    per_expert = reader.maybe("moe_intermediate_size")
    width = per_expert or reader.maybe("intermediate_size", "n_inner", "ffn_dim")
    experts = reader.maybe("num_experts_per_tok")
    return None if width is None else width * (experts or 1)


def _counted(config: Mapping[str, object], reader: _Reader, core: _Core) -> int | None:
    """Parameters of a Llama-like model, to the last one but for its norms of heads."""
    width = reader.maybe("moe_intermediate_size") or reader.maybe("intermediate_size")
    if str(config.get("model_type")) not in _GATED or core.vocabulary is None or width is None:
        return None
    experts = reader.maybe("num_local_experts", "num_experts") or 1
    queries, keys = core.heads * core.head_dim, core.kv_heads * core.head_dim
    attention = 2 * core.hidden * queries + 2 * core.hidden * keys
    if config.get("model_type") == "qwen2":
        attention += queries + 2 * keys
    router = core.hidden * experts if experts > 1 else 0
    layer = attention + router + 3 * core.hidden * width * experts + 2 * core.hidden
    embeddings = core.vocabulary * core.hidden * _embeddings(config)
    return core.layers * layer + embeddings + core.hidden


def _window(
    config: Mapping[str, object], reader: _Reader, layers: int, notes: list[str]
) -> tuple[int | None, int]:
    """The sliding window, and how many layers have it."""
    window = reader.maybe("sliding_window")
    if window is None or config.get("use_sliding_window") is False:
        return None, 0
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        return window, sum(kind == "sliding_attention" for kind in kinds)
    pattern = reader.maybe("sliding_window_pattern")
    if pattern is not None:
        return window, layers - layers // pattern
    if str(config.get("model_type")) in {"mistral", "mixtral"}:
        return window, layers
    notes.append(
        f"sliding_window {window} does not say in which layers: all count with the whole context"
    )
    return None, 0


def _precision(config: Mapping[str, object]) -> Precision | None:
    quantised = config.get("quantization_config")
    if not isinstance(quantised, Mapping):
        return _TYPES.get(str(config.get("torch_dtype") or config.get("dtype")))
    if quantised.get("quant_method") == "fp8":
        return Precision.FP8
    bits, kind = quantised.get("bits"), "int"
    for group in _mapping(quantised.get("config_groups")).values():  # compressed-tensors
        weights = _mapping(_mapping(group).get("weights"))
        bits, kind = weights.get("num_bits"), str(weights.get("type"))
    found = _QUANTISED.get((str(bits), kind))
    if found is None:
        raise ModelError(
            "quantization_config: its method is not known here; say the precision of the"
            " weights, for example --precision int4"
        )
    return found


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
