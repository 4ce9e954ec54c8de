"""What models need of GPU memory, against published and measured figures."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.model_memory import (
    GIB,
    KV_BLOCK_TOKENS,
    SAMPLED_SEQUENCES,
    Demand,
    divides,
    footprint,
    kv_bytes_per_request,
    kv_bytes_per_token,
    possible_gpus,
    requests_that_fit,
    usable_bytes,
    weight_bytes,
)
from controlplane.model.model_shape import (
    BITS,
    ModelError,
    ModelShape,
    Precision,
    shape_from_config,
)
from tests.unit.controlplane.model.published_models import (
    DEEPSEEK_CODER_V2_LITE,
    DEEPSEEK_V3,
    LLAMA2_7B,
    LLAMA3_8B,
    LLAMA3_70B,
    LLAMA31_405B,
    MISTRAL_7B,
    OPT_13B,
    QWEN2_7B,
    QWEN3_30B_A3B,
    QWEN3_235B_A22B,
    QWEN25_14B,
    QWEN25_72B,
)

BF16, FP8 = Precision.BF16, Precision.FP8
KB, GB = 1000, 1000**3
KIB = 1024
ANY = 10**9

PAGED = "Kwon et al., PagedAttention, SOSP 2023, arxiv.org/abs/2309.06180, section 3 and figure 1"
NVIDIA = "developer.nvidia.com/blog/mastering-llm-techniques-inference-optimization"
HF = "huggingface.co/blog/llama31, inference memory requirements (its GB are GiB)"
DEEPSEEK = "DeepSeek-AI, Insights into DeepSeek-V3, arxiv.org/abs/2505.09343, table 1"
VLLM = "github.com/vllm-project/vllm"


def shape(config: dict[str, object], parameters: int | None = None) -> ModelShape:
    return shape_from_config(config, parameters=parameters)


@pytest.mark.parametrize(
    ("model", "precision", "gpus", "published", "tolerance", "source"),
    [
        pytest.param(shape(LLAMA3_8B), BF16, 1, 14.96 * GIB, 0.001, f"{VLLM}/pull/10511", id="8b"),
        pytest.param(shape(LLAMA3_8B), BF16, 2, 7.48 * GIB, 0.001, f"{VLLM}/pull/10511", id="8b/2"),
        pytest.param(
            shape(LLAMA3_8B), FP8, 1, 9.08 * GB, 0.001, "tinygrad/pull/12893", id="8b-fp8"
        ),
        pytest.param(
            shape(LLAMA3_8B), Precision.INT4, 1, 5.7 * GB, 0.01, "n-shot.com/?p=6178", id="8b-awq"
        ),
        pytest.param(shape(LLAMA2_7B), BF16, 1, 14 * GB, 0.05, NVIDIA, id="llama-2-7b"),
        pytest.param(shape(OPT_13B, 13 * ANY), BF16, 1, 26 * GB, 0.01, PAGED, id="opt-13b"),
        pytest.param(
            # The log is of a distilled model with the shape of Qwen2.5-14B.
            shape(QWEN25_14B), BF16, 2, 13.9476 * GIB, 0.02, f"{VLLM}/issues/13061", id="14b/2",
        ),
        pytest.param(shape(LLAMA3_70B), BF16, 1, 140 * GB, 0.02, HF, id="70b"),
    ],
)  # fmt: skip
def test_weights_are_what_was_published(*, model, precision, gpus, published, tolerance, source):
    demand = Demand(context_tokens=1, precision=precision)
    weights = footprint(model, demand, gpus=gpus).terms[0].size_bytes
    assert weights == pytest.approx(published, rel=tolerance), source


@pytest.mark.parametrize(
    ("model", "published", "source"),
    [
        pytest.param(shape(OPT_13B, 13 * ANY), 800 * KIB, PAGED, id="opt-13b"),
        pytest.param(shape(DEEPSEEK_V3, 671 * ANY), 70.272 * KB, DEEPSEEK, id="deepseek-v3-mla"),
        pytest.param(shape(QWEN25_72B), 327.680 * KB, DEEPSEEK, id="qwen-2.5-72b"),
        pytest.param(shape(LLAMA31_405B), 516.096 * KB, DEEPSEEK, id="llama-3.1-405b"),
    ],
)
def test_the_cache_of_a_token_is_exactly_what_was_published(model, published, source):
    assert kv_bytes_per_token(model, BF16) == published, source


@pytest.mark.parametrize(
    ("model", "tokens", "gpus", "published", "tolerance", "source"),
    [
        pytest.param(shape(OPT_13B, 13 * ANY), 2048, 1, 1.6 * GB, 0.05, PAGED, id="opt-13b"),
        pytest.param(shape(LLAMA2_7B), 4096, 1, 2 * GIB, 0.001, NVIDIA, id="llama-2-7b"),
        pytest.param(shape(LLAMA3_8B), 16_000, 1, 1.95 * GIB, 0.005, HF, id="8b-16k"),
        pytest.param(shape(LLAMA3_8B), 128_000, 1, 15.62 * GIB, 0.001, HF, id="8b-128k"),
        pytest.param(shape(LLAMA3_70B), 16_000, 1, 4.88 * GIB, 0.005, HF, id="70b-16k"),
        pytest.param(shape(LLAMA3_70B), 128_000, 1, 39.06 * GIB, 0.001, HF, id="70b-128k"),
        pytest.param(
            shape(QWEN3_30B_A3B), 262_144, 1, 24.0 * GIB, 0.001, f"{VLLM}/issues/34076", id="moe"
        ),
        pytest.param(
            shape(QWEN3_235B_A22B), 178_880, 4, 8.11 * GIB, 0.02, f"{VLLM}/issues/21348", id="moe/4"
        ),
    ],
)
def test_the_cache_of_a_context_is_what_was_published(
    *, model, tokens, gpus, published, tolerance, source
):
    found = kv_bytes_per_request(model, Demand(context_tokens=tokens), gpus=gpus)
    assert found == pytest.approx(published, rel=tolerance), source


@pytest.mark.parametrize(
    ("model", "gpus", "measured_gib", "source"),
    [
        pytest.param(shape(LLAMA3_8B), 1, 1.26, f"{VLLM}/pull/10511", id="llama-3-8b"),
        pytest.param(shape(LLAMA3_8B), 2, 1.26, f"{VLLM}/pull/10511", id="llama-3-8b-on-2"),
        pytest.param(
            shape(DEEPSEEK_CODER_V2_LITE, 15_700_000_000), 1, 0.94, f"{VLLM}/pull/13109", id="mla"
        ),
    ],
)
def test_activations_are_within_15_percent_of_measured_ones(model, gpus, measured_gib, source):
    found = footprint(model, Demand(context_tokens=1), gpus=gpus).terms[2].size_bytes
    assert found == pytest.approx(measured_gib * GIB, rel=0.15), source


# -- terms -------------------------------------------------------------------------------------

SMALL = ModelShape(
    parameters=1000,
    layers=2,
    heads=8,
    kv_heads=4,
    head_dim=16,
    hidden=128,
    vocabulary=2,
    embedding_parameters=400,
)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        (Precision.FP32, 4000),
        (Precision.BF16, 2000),
        (Precision.FP16, 2000),
        (Precision.FP8, 600 + 800),
        (Precision.INT8, 600 + 800),
        (Precision.INT4, 312 + 800),
    ],
)
def test_quantised_weights_keep_their_embeddings(precision, expected):
    assert weight_bytes(SMALL, precision) == expected


def test_the_cache_is_whole_blocks():
    for tokens in (1, 16):
        assert kv_bytes_per_request(SMALL, Demand(context_tokens=tokens)) == (
            KV_BLOCK_TOKENS * kv_bytes_per_token(SMALL, BF16)
        )


def test_the_cache_may_be_kept_smaller():
    assert 2 * kv_bytes_per_token(SMALL, FP8) == kv_bytes_per_token(SMALL, BF16)


def test_a_sliding_window_bounds_the_cache():
    mistral = shape(MISTRAL_7B)
    within = kv_bytes_per_request(mistral, Demand(context_tokens=4096))
    assert kv_bytes_per_request(mistral, Demand(context_tokens=32_768)) == within


def test_heads_that_are_fewer_than_gpus_are_copied_and_latents_always():
    model = shape(LLAMA3_8B)
    each = [kv_bytes_per_token(model, BF16, gpus=gpus) for gpus in (1, 8, 16)]
    assert each == [131_072, 16_384, 16_384]
    latent = shape(DEEPSEEK_V3, 671 * ANY)
    assert kv_bytes_per_token(latent, BF16, gpus=8) == kv_bytes_per_token(latent, BF16)


@pytest.mark.parametrize(
    ("config", "parameters", "possible"),
    [
        (LLAMA3_8B, None, [1, 2, 4, 8, 16]),
        (QWEN2_7B, None, [1, 2, 4]),
        (DEEPSEEK_V3, 671 * ANY, [1, 2, 4, 8, 16]),
        (LLAMA2_7B | {"num_attention_heads": 48, "num_key_value_heads": 6}, ANY, [1, 2, 3, 6, 12]),
    ],
)
def test_heads_must_divide(config, parameters, possible):
    assert possible_gpus(shape(config, parameters), 16) == possible


def test_the_reason_why_they_do_not_divide_is_named():
    assert divides(shape(QWEN2_7B), 8) == "28 heads do not divide by 8 GPUs"
    odd = shape(LLAMA2_7B | {"num_attention_heads": 48, "num_key_value_heads": 6}, ANY)
    assert divides(odd, 4) == "6 KV heads and 4 GPUs do not divide evenly"
    with pytest.raises(ModelError, match="gpus: 28 heads do not divide by 8 GPUs"):
        footprint(shape(QWEN2_7B), Demand(context_tokens=1), gpus=8)


@pytest.mark.parametrize(
    ("config", "parameters", "gpus", "said"),
    [
        pytest.param(
            LLAMA3_8B,
            None,
            2,
            [
                "8,030,261,248 parameters x 16 bits / 8 / 2 GPUs",
                "3 requests x (112 tokens x 32 layers) x 2 x 4 KV heads x 128 x 2 bytes",
                "2 x 8,192 tokens x 4,096 x 2 bytes + 256 sequences x 128,256 words x 40 bytes",
                "CUDA context, CUDA graphs, communication buffers",
            ],
            id="grouped-query",
        ),
        pytest.param(
            LLAMA2_7B | {"vocab_size": 100},
            None,
            1,
            [
                "6,477,090,816 parameters x 16 bits / 8 / 1 GPU",
                "3 requests x (112 tokens x 32 layers) x 2 x 32 KV heads x 128 x 2 bytes",
                "2 x 8,192 tokens x 4,096 x 2 bytes + 3 x 8,192 tokens x 11,008 / 1 x 2 bytes",
                "CUDA context, CUDA graphs, communication buffers",
            ],
            id="few-words",
        ),
        pytest.param(
            DEEPSEEK_V3 | {"sliding_window": 64, "sliding_window_pattern": 2},
            671 * ANY,
            1,
            [
                "671,000,000,000 parameters x 16 bits / 8 / 1 GPU",
                "3 requests x (112 tokens x 30 layers + 64 tokens x 31 layers with a sliding"
                " window) x 576 latent x 2 bytes, on every GPU",
                "2 x 8,192 tokens x 7,168 x 2 bytes + 256 sequences x 129,280 words x 40 bytes",
                "CUDA context, CUDA graphs, communication buffers",
            ],
            id="latent-and-window",
        ),
    ],
)
def test_every_term_says_how_it_comes_about(config, parameters, gpus, said):
    demand = Demand(context_tokens=100, concurrency=3)
    found = footprint(shape(config, parameters), demand, gpus=gpus)
    assert [term.formula for term in found.terms] == said
    assert found.total_bytes == sum(term.size_bytes for term in found.terms)
    assert found.fixed_bytes == found.total_bytes - found.terms[1].size_bytes


def test_a_quantised_formula_names_both_parts():
    demand = Demand(context_tokens=1, precision=Precision.INT4)
    assert footprint(SMALL, demand).terms[0].formula == (
        "(600 parameters x 4.15625 bits + 400 of embeddings x 16 bits) / 8 / 1 GPU"
    )


@pytest.mark.parametrize("config", [LLAMA3_8B, LLAMA2_7B, MISTRAL_7B, QWEN2_7B])
def test_the_formula_of_the_cache_computes_to_its_size(config):
    demand = Demand(context_tokens=100, concurrency=3)
    term = footprint(shape(config), demand).terms[1]
    words = r" (requests?|tokens|layers with a sliding window|layers|KV heads|bytes)"
    product = re.sub(words, "", term.formula.replace(",", "")).replace("x", "*")
    assert eval(product) == term.size_bytes  # noqa: S307 - our own arithmetic


# -- what fits -----------------------------------------------------------------------------------


def test_of_a_gpu_the_visible_part_is_used_up_to_the_utilisation():
    demand = Demand(context_tokens=1, utilisation=0.5)
    assert usable_bytes(1000, demand) == 500


def test_no_more_requests_fit_than_are_sampled_at_once():
    demand = Demand(context_tokens=16)
    assert requests_that_fit(SMALL, demand, gpus=1, visible_bytes=80 * GIB) == SAMPLED_SEQUENCES


@given(
    context=st.integers(1, 200_000),
    concurrency=st.integers(1, 300),
    precision=st.sampled_from(sorted(Precision)),
    gpus=st.sampled_from([1, 2, 4, 8]),
    memory=st.integers(GIB, 200 * GIB),
)
def test_as_many_fit_as_the_terms_say(context, concurrency, precision, gpus, memory):
    model = shape(LLAMA3_8B)
    demand = Demand(context_tokens=context, concurrency=concurrency, precision=precision)
    fits = requests_that_fit(model, demand, gpus=gpus, visible_bytes=memory)
    size = footprint(model, demand, gpus=gpus)
    usable = usable_bytes(memory, demand)
    assert (fits >= concurrency) == (size.total_bytes <= usable)
    each = kv_bytes_per_request(model, demand, gpus=gpus)
    assert fits == 0 or size.fixed_bytes + fits * each <= usable


@given(
    tokens=st.integers(1, 10**6),
    more=st.integers(0, 10**6),
    precision=st.sampled_from([p for p in Precision if p is not Precision.INT4]),
)
def test_more_context_never_needs_less(tokens, more, precision):
    few, many = (
        kv_bytes_per_request(SMALL, Demand(context_tokens=n, kv_precision=precision))
        for n in (tokens, tokens + more)
    )
    assert few <= many
    assert few >= tokens * kv_bytes_per_token(SMALL, precision)
    assert int(BITS[precision]) % 8 == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"context_tokens": 0}, "context_tokens: must be 1 or more"),
        ({"concurrency": 0}, "concurrency: must be 1 or more"),
        ({"batch_tokens": 0}, "batch_tokens: must be 1 or more"),
        ({"runtime_bytes": -1}, "runtime_bytes: must be 0 or more"),
        ({"utilisation": 0}, "utilisation: must be above 0"),
        ({"utilisation": 1.1}, "utilisation: must be above 0 and at most 1"),
        ({"kv_precision": Precision.INT4}, "kv_precision: caches are kept at 8 bits or more"),
    ],
)
def test_demands_that_cannot_be_are_refused(fields, said):
    with pytest.raises(ModelError, match=said):
        Demand(**{"context_tokens": 1} | fields)
