"""A model's shape from its configuration, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.model_shape import ModelError, ModelShape, Precision, shape_from_config
from tests.unit.controlplane.model.published_models import (
    DEEPSEEK_V3,
    GEMMA3_12B_TEXT,
    LLAMA2_7B,
    LLAMA2_13B,
    LLAMA3_8B,
    LLAMA3_70B,
    MISTRAL_7B,
    MIXTRAL_8X7B,
    OPT_13B,
    QWEN2_7B,
    QWEN3_30B_A3B,
)

PLAIN = {"parameters": 1, "layers": 1, "heads": 8, "kv_heads": 4, "head_dim": 1, "hidden": 1}


def compressed(**weights: object) -> dict[str, object]:
    """As compressed-tensors (LLM Compressor) writes it."""
    groups = {"group_0": {"weights": weights or None}}
    return {"quant_method": "compressed-tensors", "config_groups": groups}


@pytest.mark.parametrize(
    ("config", "published"),
    [
        # "Model size" on the pages of these models on huggingface.co, parameters of the tensors.
        pytest.param(LLAMA2_7B, 6_738_415_616, id="llama-2-7b"),
        pytest.param(LLAMA2_13B, 13_015_864_320, id="llama-2-13b"),
        pytest.param(LLAMA3_8B, 8_030_261_248, id="llama-3-8b"),
        pytest.param(LLAMA3_70B, 70_553_706_496, id="llama-3-70b"),
        pytest.param(MISTRAL_7B, 7_241_732_096, id="mistral-7b"),
        pytest.param(MIXTRAL_8X7B, 46_702_792_704, id="mixtral-8x7b"),
        pytest.param(QWEN2_7B, 7_615_616_512, id="qwen2-7b"),
    ],
)
def test_parameters_are_counted_to_the_last_one(config, published):
    assert shape_from_config(config).parameters == published


def test_qwen3_is_short_of_the_norms_of_its_heads_only():
    counted = shape_from_config(QWEN3_30B_A3B).parameters
    assert 30_532_122_624 - counted == 48 * 2 * 128


def test_tied_embeddings_count_once():
    both, tied = (
        shape_from_config(LLAMA2_7B | {"tie_word_embeddings": tied}) for tied in (False, True)
    )
    assert both.parameters - tied.parameters == tied.embedding_parameters == 32000 * 4096


def test_everything_is_read():
    shape = shape_from_config(LLAMA3_8B)
    assert (shape.layers, shape.heads, shape.kv_heads, shape.head_dim) == (32, 32, 8, 128)
    assert (shape.hidden, shape.intermediate, shape.vocabulary) == (4096, 14336, 128256)
    assert (shape.longest_context, shape.precision) == (8192, Precision.BF16)
    assert (shape.window, shape.window_layers, shape.latent, shape.notes) == (None, 0, None, ())


def test_older_names_are_known():
    gpt2 = {"n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "vocab_size": 50257}
    shape = shape_from_config(gpt2, parameters=124_000_000)
    assert (shape.layers, shape.heads, shape.kv_heads, shape.head_dim) == (12, 12, 12, 64)
    assert (shape.longest_context, shape.intermediate, shape.precision) == (1024, None, None)


@pytest.mark.parametrize(
    ("fields", "kv_heads"),
    [
        # bigcode/starcoder
        pytest.param({"model_type": "gpt_bigcode", "multi_query": True}, 1, id="gpt-bigcode"),
        pytest.param({"model_type": "gpt_bigcode"}, 1, id="gpt-bigcode-by-default"),
        pytest.param({"model_type": "gpt_bigcode", "multi_query": False}, 48, id="not-shared"),
        # tiiuae/falcon-7b: its num_kv_heads is not what it has
        pytest.param(
            {
                "model_type": "falcon",
                "multi_query": True,
                "new_decoder_architecture": False,
                "num_kv_heads": 48,
            },
            1,
            id="falcon-7b",
        ),
        # tiiuae/falcon-40b
        pytest.param(
            {
                "model_type": "falcon",
                "multi_query": True,
                "new_decoder_architecture": True,
                "num_kv_heads": 8,
            },
            8,
            id="falcon-40b",
        ),
        pytest.param(
            {"model_type": "falcon", "multi_query": False, "num_kv_heads": 6}, 6, id="falcon-own"
        ),
        pytest.param({"model_type": "RefinedWeb", "n_head_kv": 8}, 8, id="falcon-before"),
        # THUDM/chatglm2-6b
        pytest.param(
            {"model_type": "chatglm", "multi_query_attention": True, "multi_query_group_num": 2},
            2,
            id="chatglm",
        ),
        pytest.param(
            {"model_type": "chatglm", "multi_query_attention": False, "multi_query_group_num": 2},
            48,
            id="chatglm-not-shared",
        ),
        # databricks/dbrx-base
        pytest.param({"model_type": "dbrx", "attn_config": {"kv_n_heads": 8}}, 8, id="dbrx"),
        pytest.param({"model_type": "mpt", "attn_config": {"alibi": True}}, 48, id="mpt"),
        pytest.param({"model_type": "gpt2"}, 48, id="a-type-that-shares-none"),
        pytest.param({"model_type": "new", "num_key_value_heads": 4}, 4, id="the-common-name"),
        pytest.param(
            {"model_type": "new", "kv_lora_rank": 512, "qk_rope_head_dim": 64},
            48,
            id="latent-attention-has-none",
        ),
    ],
)
def test_key_value_heads_are_found_however_they_are_spelled(fields, kv_heads):
    plain = {"n_embd": 6144, "n_head": 48, "n_layer": 40}
    shape = shape_from_config(plain | fields, parameters=10**9)
    assert (shape.kv_heads, shape.notes) == (kv_heads, ())


def test_an_unknown_model_that_does_not_name_them_is_said_to_be_guessed():
    plain = {"model_type": "new", "n_embd": 6144, "n_head": 48, "n_layer": 40}
    shape = shape_from_config(plain, parameters=10**9)
    assert shape.kv_heads == 48
    assert "every head is taken as a key-value head" in shape.notes[0]


WORDS = st.sampled_from(["", "x", "fp8", "full_attention", "bits", "config_groups", "weights"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
SHARED = {"multi_query", "multi_query_attention", "attn_config"}
FIELDS = sorted({*SHARED, *LLAMA2_7B, *DEEPSEEK_V3, *GEMMA3_12B_TEXT, "layer_types", "text_config"})


@given(st.dictionaries(st.sampled_from([*FIELDS, "quantization_config"]), JSON, max_size=4))
def test_whatever_a_file_says_it_is_a_shape_or_a_refusal(fields):
    try:
        found = shape_from_config(LLAMA2_7B | fields, parameters=10**9)
    except ModelError:
        return
    assert found.parameters == 10**9


def test_experts_that_a_token_passes_count_for_the_width():
    assert shape_from_config(MIXTRAL_8X7B).intermediate == 2 * 14336
    assert shape_from_config(QWEN3_30B_A3B).intermediate == 8 * 768


def test_latent_attention_keeps_one_vector():
    assert shape_from_config(DEEPSEEK_V3, parameters=671_000_000_000).latent == 512 + 64


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param(MISTRAL_7B, (4096, 32), id="all-layers"),
        pytest.param(QWEN2_7B, (None, 0), id="switched-off"),
        pytest.param(GEMMA3_12B_TEXT, (1024, 40), id="five-of-six"),
        pytest.param(
            OPT_13B
            | {"sliding_window": 8, "layer_types": ["full_attention", "sliding_attention"] * 20},
            (8, 20),
            id="named-layer-by-layer",
        ),
    ],
)
def test_sliding_windows_are_found(config, expected):
    shape = shape_from_config(config, parameters=10**9)
    assert (shape.window, shape.window_layers, shape.notes) == (*expected, ())


def test_a_window_that_does_not_say_in_which_layers_does_not_count():
    shape = shape_from_config(OPT_13B | {"sliding_window": 8}, parameters=10**9)
    assert (shape.window, shape.window_layers) == (None, 0)
    assert "does not say in which layers" in shape.notes[0]


def test_of_a_model_with_images_the_text_part_is_sized():
    shape = shape_from_config({"model_type": "llava", "text_config": LLAMA2_7B})
    assert shape.parameters == 6_738_415_616
    assert "text_config" in shape.notes[0]
    inner = {k: v for k, v in LLAMA2_7B.items() if k not in {"model_type", "torch_dtype"}}
    outer = {"model_type": "llama", "torch_dtype": "bfloat16", "text_config": inner}
    assert shape_from_config(outer).precision is Precision.BF16


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Precision.FP16),
        ({"torch_dtype": None, "dtype": "float32"}, Precision.FP32),
        ({"torch_dtype": "other"}, None),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, Precision.INT4),
        ({"quantization_config": {"quant_method": "gptq", "bits": 8}}, Precision.INT8),
        ({"quantization_config": {"quant_method": "fp8"}}, Precision.FP8),
        ({"quantization_config": compressed(num_bits=8, type="float")}, Precision.FP8),
        ({"quantization_config": compressed(num_bits=4, type="int")}, Precision.INT4),
    ],
)
def test_the_precision_is_the_published_one(fields, expected):
    assert shape_from_config(LLAMA2_7B | fields).precision is expected


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "hidden_size: missing; is this the config.json of a language model"),
        (LLAMA2_7B | {"hidden_size": "big"}, "hidden_size: must be a whole number above 0"),
        (LLAMA2_7B | {"num_hidden_layers": True}, "num_hidden_layers: must be a whole number"),
        (LLAMA2_7B | {"num_attention_heads": 0}, "num_attention_heads: must be a whole number"),
        (OPT_13B, "cannot be counted for model_type 'opt'; say how many"),
        (LLAMA2_7B | {"vocab_size": None}, "cannot be counted for model_type 'llama'"),
        (LLAMA2_7B | {"intermediate_size": None}, "cannot be counted"),
        (LLAMA2_7B | {"model_type": None}, "model_type 'unknown'"),
        (LLAMA2_7B | {"is_encoder_decoder": True}, "encoder-decoders are not"),
        (LLAMA2_7B | {"mamba_d_state": 16}, "mamba_d_state: layers without ordinary attention"),
        (
            LLAMA2_7B | {"layer_types": ["linear_attention", "full_attention"]},
            "linear_attention: layers without ordinary attention",
        ),
        (LLAMA2_7B | {"quantization_config": {"quant_method": "x"}}, "say the precision"),
        (LLAMA2_7B | {"quantization_config": compressed()}, "say the precision"),
        (LLAMA2_7B | {"kv_lora_rank": 512}, "qk_rope_head_dim: missing"),
        (LLAMA2_7B | {"num_key_value_heads": 5}, "32 heads cannot share 5 key-value heads"),
    ],
)
def test_what_cannot_be_sized_is_refused_by_name(config, said):
    with pytest.raises(ModelError, match=said):
        shape_from_config(config)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_dimensions_are_positive(name):
    with pytest.raises(ModelError, match=f"{name}: must be 1 or more, not 0"):
        ModelShape(**PLAIN | {name: 0})
