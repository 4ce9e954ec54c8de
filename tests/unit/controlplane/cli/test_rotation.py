from controlplane.cli.rotation import rotate, tail


def test_a_log_over_the_limit_is_kept_once_and_the_writer_goes_on_in_the_same_file(tmp_path):
    path = tmp_path / "api.log"
    with path.open("ab") as writer:
        writer.write(b"old\n" * 10)
        writer.flush()
        assert rotate([path], max_bytes=10) == [path]
        writer.write(b"new\n")
        writer.flush()
        assert path.read_bytes() == b"new\n"
        assert (tmp_path / "api.log.1").read_bytes() == b"old\n" * 10
        writer.write(b"newer\n" * 10)
        writer.flush()
        rotate([path], max_bytes=10)
    assert (tmp_path / "api.log.1").read_bytes() == b"new\n" + b"newer\n" * 10


def test_small_and_missing_files_are_left_alone(tmp_path):
    small = tmp_path / "small.log"
    small.write_bytes(b"x" * 10)
    assert rotate([small, tmp_path / "missing.log"], max_bytes=10) == []
    assert small.read_bytes() == b"x" * 10


def test_a_log_is_cut_even_when_its_copy_finds_no_room(tmp_path):
    path = tmp_path / "api.log"
    path.write_bytes(b"x" * 100)
    (tmp_path / "api.log.1").symlink_to("/dev/full")
    assert rotate([path], max_bytes=10) == [path]
    assert path.read_bytes() == b""
    assert not (tmp_path / "api.log.1").is_symlink()


def test_the_tail_is_the_last_lines_that_say_something(tmp_path):
    path = tmp_path / "api.log"
    path.write_bytes(b"one\n\ntwo \xff\n\nthree\n\n")
    assert tail(path, lines=2) == ["two \ufffd", "three"]
    assert tail(path, lines=2, max_bytes=4) == ["ee"]
    assert tail(tmp_path / "missing.log", lines=2) == []
