"""The desk of a node judges by the latest catalogue, whoever changes it and when."""

from pathlib import Path

import pytest

from suyuan import intake
from suyuan.catalogue.content import Content
from suyuan.catalogue.parties import Party
from suyuan.node import Node


def test_a_catalogue_changed_while_the_desk_is_made_is_the_one_that_the_next_upload_is_judged_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = intake.Desk

    with Node.open(tmp_path / "node") as node:

        def overtaken(**parts: object) -> intake.Desk:
            monkeypatch.setattr(intake, "Desk", make)
            node.use_catalogue(Content(parties=[Party("P44010000001", standing="suspended")]))
            return make(**parts)  # type: ignore[arg-type]

        monkeypatch.setattr(intake, "Desk", overtaken)
        node.use_catalogue(Content())
        assert node.desk is not None
        assert node.desk.catalogue is node.catalogue
        assert node.desk is node.desk
