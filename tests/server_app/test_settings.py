"""The server's settings and its workspace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server_app.settings import RETRAIN, SITE, ServerSettings, site_settings, training_mode, training_settings
from server_app.workspace import Workspace
from training.errors import InputError
from training.models import BUNDLED_MODELS
from training.retraining.config import RetrainConfig


def test_the_workspace_is_named_after_the_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUMORLOOP_HOME", str(tmp_path / "home"))
    one, two = (Workspace.for_studies(tmp_path / name / "studies").root for name in ("a", "b"))
    assert (one.parent, one.name.startswith("studies-"), one == two) == (tmp_path / "home", True, False)
    with pytest.raises(InputError, match="never written to"):
        Workspace.for_studies(tmp_path, tmp_path / "inside")


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_only_its_owner_may_use_a_new_workspace(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    place = Workspace.for_studies(tmp_path / "studies", tmp_path / "home" / "workspace").make()
    assert place.root.stat().st_mode & 0o777 == 0o700
    place.root.chmod(0o750)
    assert place.make().root.stat().st_mode & 0o777 == 0o750  # what the owner chose stays


def test_settings_come_from_conf_and_name_what_is_wrong() -> None:
    settings = ServerSettings.from_conf({"max_epochs": "3", "source_labels": "true", "models": "whatever"})
    assert settings.retrain.max_epochs == 3
    assert settings.source_labels
    assert ServerSettings.from_conf({"label_scheme": "decathlon"}).label_scheme == "decathlon"
    assert ServerSettings.from_conf({"engine": "tensorflow"}).engine == "tensorflow"
    with pytest.raises(InputError, match="no engine 'tensorflw'"):
        ServerSettings.from_conf({"engine": "tensorflw"})
    assert ServerSettings.from_conf({"model": "v0000"}).model == BUNDLED_MODELS / "v0000"
    assert ServerSettings.from_conf({"model": str(BUNDLED_MODELS)}).model == ServerSettings().model
    with pytest.raises(InputError, match="no bundled model 'v0009'") as caught:
        ServerSettings.from_conf({"model": "v0009"})
    assert caught.value.field == "model"
    with pytest.raises(InputError, match="patch cannot be"):
        ServerSettings.from_conf({"patch": "big"})


def test_a_training_takes_settings_flat_or_under_its_name_and_ignores_what_stock_clients_add() -> None:
    defaults = RetrainConfig()
    stock = {"client_id": "x", "device": "cuda", "gpus": "all", "pretrained": True, "tumorloop": {"max_epochs": "7"}}
    assert training_settings(defaults, stock, "tumorloop").max_epochs == 7
    assert training_settings(defaults, {"max_epochs": 2}, "tumorloop").max_epochs == 2
    with pytest.raises(InputError, match="no setting 'epochs'"):
        training_settings(defaults, {"epochs": 2}, "tumorloop")


def test_a_fit_to_the_site_has_settings_of_its_own_and_no_other_mode_is_known() -> None:
    assert training_mode({"max_epochs": 2}, "tumorloop") == training_mode({"mode": "retrain"}, "tumorloop") == RETRAIN
    stock = {"client_id": "x", "run": "a", "tumorloop": {"mode": "site", "share": 0.5}}
    assert (training_mode(stock, "tumorloop"), site_settings(stock, "tumorloop").share) == (SITE, 0.5)
    assert training_settings(RetrainConfig(), {"mode": "retrain", "max_epochs": 2}, "tumorloop").max_epochs == 2
    for mode in ("Site", "", None, True, ["site"]):
        with pytest.raises(InputError, match="mode must be retrain or site") as caught:
            training_mode({"mode": mode}, "tumorloop")
        assert caught.value.field == "mode"
    with pytest.raises(InputError, match="mode site has no setting 'max_epochs'"):
        site_settings({"mode": "site", "max_epochs": 2}, "tumorloop")


def test_a_workspace_is_in_use_once_it_holds_a_label_a_result_or_an_unfinished_training(tmp_path: Path) -> None:
    for name in ("labels/case", "answers/case", "training/job.json"):
        place = Workspace(tmp_path / name.partition("/")[0]).make()
        assert not place.in_use()
        made = place.root / name
        made.parent.mkdir(exist_ok=True)
        made.touch() if made.suffix else made.mkdir()
        assert place.in_use()
