from __future__ import annotations

from pathlib import Path

import pytest

from zsre.relations.errors import ModelError
from zsre.relations.places import is_same, looked_at, real_path


@pytest.mark.usefixtures("locked")
def test_a_place_that_may_not_be_looked_at_is_told() -> None:
    path = Path("locked/model.onnx")
    with pytest.raises(ModelError) as caught, looked_at(path, ModelError):
        path.is_file()
    assert str(caught.value) == (
        "locked/model.onnx: cannot be read: Permission denied; check the path and its permissions"
    )


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    assert real_path(tmp_path / "link") == (tmp_path / "file").resolve()
    assert real_path(tmp_path / "one").parent == tmp_path.resolve()


@pytest.mark.usefixtures("locked")
def test_names_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "one").symlink_to("one")
    assert is_same(tmp_path / "link", tmp_path / "file")
    assert is_same(tmp_path / "new", tmp_path / "." / "new")
    for other in ("new", "one", "locked/file"):
        assert not is_same(tmp_path / "file", tmp_path / other)
    assert is_same(tmp_path / "locked" / "file", tmp_path / "locked" / "file")
