import pytest
from pydantic import TypeAdapter, ValidationError

from controlplane.wire.sizes import ByteSize, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1024", 1024),
        ("10B", 10),
        ("512MB", 512_000_000),
        ("512M", 512_000_000),
        ("512Mi", 512 * 1024**2),
        ("512MiB", 512 * 1024**2),
        ("1.5GB", 1_500_000_000),
        ("1.5gib", 1_610_612_736),
        (" 2 TB ", 2 * 10**12),
        ("1kb", 1000),
    ],
)
def test_sizes_are_read_with_decimal_and_binary_units(text, expected):
    assert parse_size(text) == expected
    assert TypeAdapter(ByteSize).validate_python(text) == expected


@pytest.mark.parametrize("text", ["", "MB", "5 PB", "-1", "1e3", "1,5GB", "1 Bi", "12 34"])
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("value", [-1, 1.5, "x", 2**61, "9999999999TB"])
def test_bytes_are_whole_not_negative_and_bounded(value):
    with pytest.raises(ValidationError):
        TypeAdapter(ByteSize).validate_python(value)


def test_integers_are_bytes():
    assert TypeAdapter(ByteSize).validate_python(7) == 7
