"""The catalogue's file, and the built-in one."""

import pytest

from controlplane.catalogue import read_catalogue
from controlplane.model.bundles import MIB
from controlplane.model.settings import SettingsError


def test_without_a_file_there_are_the_built_in_examples():
    bundles = {bundle.id: bundle for bundle in read_catalogue(None)}
    small, xlarge, gpu = bundles["cpu.small"], bundles["cpu.xlarge"], bundles["gpu.medium"]
    assert (small.cpu_count, small.memory_bytes) == (1, 512 * MIB)
    assert (xlarge.cpu_count, xlarge.memory_bytes) == (2, 2048 * MIB)
    assert (gpu.gpu_count, gpu.gpu_memory_bytes, gpu.gpu_type_label) == (
        1,
        24576 * MIB,
        "nvidia-a10g-1x",
    )
    assert {"cpu.nano", "cpu.micro", "cpu.medium", "cpu.5xlarge", "gpu.l4.small"} <= set(bundles)


def test_a_file_of_one_s_own_replaces_them(tmp_path):
    file = tmp_path / "bundles.yaml"
    file.write_text("bundles:\n  - {id: mine, cpu_count: 2, memory_mb: 64}\n")
    assert [bundle.id for bundle in read_catalogue(str(file))] == ["mine"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read .*No such file"),
        (b"bundles: [", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"", "bundles.yaml: expected a mapping"),
        (b"bundles: [{id: a, cpu_count: 1, memory_mb: 0}]", r"bundles\[0\] \(a\).memory_mb"),
    ],
)
def test_a_broken_file_is_a_broken_setting(tmp_path, content, said):
    file = tmp_path / "bundles.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"(?s)api.bundles_file: .*{said}"):
        read_catalogue(str(file))
