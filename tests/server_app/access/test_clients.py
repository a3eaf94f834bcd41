"""Both clients with tokens: MONAI Label's unmodified one, and our panel's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monailabel.client.client import MONAILabelClient, MONAILabelClientException
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.diagnosis import TOKEN, diagnose
from TumorLoopLib.client.errors import NotAuthorized

from server_app.common.identity import Role
from tests.server_app.access.conftest import CASE, Guarded
from tests.server_app.conftest import load, voxels
from training.labels import LABEL_NAMES


@pytest.fixture
def truth(guarded: Guarded) -> Path:
    return guarded.server.studies / CASE / f"{CASE}_seg.nii.gz"


def stock(guarded: Guarded, name: str, folder: Path) -> Callable[[], MONAILabelClient]:
    """MONAI Label's client as its panel uses it: logged in once, with the user's name and the token as the password,
    and made anew for each call. (With a token, one client sends the headers of an earlier call along.)
    """

    def make(token: Any = None) -> MONAILabelClient:
        client = MONAILabelClient(guarded.server.url, tmpdir=str(folder), client_id="mallory")
        client.update_auth(token)
        return client

    assert make().auth_enabled()
    logged_in = partial(make, make().auth_token(name, guarded.tokens[name]))
    assert logged_in().auth_valid_token()
    return logged_in


def panel(guarded: Guarded, name: str) -> TumorLoopClient:
    return TumorLoopClient(guarded.server.url, guarded.tokens.get(name), user="mallory")


def users_of_labels(guarded: Guarded, tag: str) -> list[str]:
    labels = guarded.request("rita", "GET", f"/cases/{CASE}/labels").json()["labels"]
    assert "mallory" not in str(labels)
    return [label["user"] for label in labels if label["tag"] == tag]


def test_the_stock_client_does_the_whole_loop_with_tokens(guarded: Guarded, truth: Path, tmp_path: Path) -> None:
    anna, tom = stock(guarded, "anna", tmp_path), stock(guarded, "tom", tmp_path)
    assert anna().info()["access"] == {"tokens": True, "user": "anna", "role": "annotator"}
    assert anna().next_sample("first", {})["id"] == CASE
    file, facts = anna().infer("tumorloop", CASE, {})
    assert facts["label_names"] == LABEL_NAMES
    assert load(file).shape == load(truth).shape
    images = [load(guarded.server.volumes(CASE)[role]) for role in ("flair", "t1", "t1ce", "t2")]
    data = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, images[0].affine), tmp_path / "four.nii.gz")
    session = anna().create_session(str(tmp_path / "four.nii.gz"))["session_id"]
    by_session, _ = anna().infer("tumorloop", "", {}, session_id=session)
    assert np.array_equal(voxels(by_session), voxels(file))
    assert anna().remove_session(session)["name"] == session
    assert anna().upload_image(str(tmp_path / "four.nii.gz"), image_id="sent")["image"] == "sent"
    saved = anna().save_label(CASE, str(truth), tag="stock", params={"comment": "with a token", "user": "mallory"})
    assert saved["version"].startswith("v")
    assert users_of_labels(guarded, "stock") == ["anna"]
    assert np.count_nonzero(voxels(anna().download_label(CASE, "stock"))) == np.count_nonzero(voxels(truth))
    assert CASE in anna().datastore()["objects"]
    anna().save_label(CASE, str(truth), params={})
    assert tom().train_start("tumorloop", {"max_epochs": 900, "validate_every": 900})["id"]
    assert anna().train_status()["status"] in ("SUBMITTED", "RUNNING")
    tom().train_stop()
    client = anna()  # one client can be used for several calls
    client.next_sample("first", {})  # from now on it announces a body with every call
    assert client.info()["name"] == "TumorLoop"
    assert client.infer("tumorloop", CASE, {})[1]["label_names"] == LABEL_NAMES
    assert CASE in client.datastore()["objects"]


def test_the_stock_client_is_told_what_it_may_not_do(guarded: Guarded, truth: Path, tmp_path: Path) -> None:
    rita, anna = stock(guarded, "rita", tmp_path), stock(guarded, "anna", tmp_path)
    assert rita().infer("tumorloop", CASE, {})[1]["model_version"].startswith("v")
    nobody = MONAILabelClient(guarded.server.url, tmpdir=str(tmp_path))
    assert not nobody.auth_valid_token()
    for attempt, expected in (
        (lambda: rita().save_label(CASE, str(truth), params={}), "rita is a reader and may not"),
        (lambda: rita().save_label(CASE, str(truth), params={}), "Status: 403"),
        (lambda: rita().infer("tumorloop", CASE, {"save_label": True}), "Status: 403"),
        (lambda: anna().train_start("tumorloop", {}), "Status: 403"),
        (lambda: anna().train_stop(), "Status: 403"),
        (lambda: nobody.info(), "Status: 401"),
        (lambda: nobody.infer("tumorloop", CASE, {}), "Status: 401"),
        (lambda: nobody.save_label(CASE, str(truth)), "Status: 401"),
    ):
        with pytest.raises(MONAILabelClientException) as caught:
            attempt()
        assert expected in caught.value.msg


def test_a_login_needs_a_name_and_the_token_of_that_user(guarded: Guarded) -> None:
    for name, of in (("rita", "anna"), ("", "anna"), ("anna", ""), ("nobody", "anna")):
        token = guarded.tokens.get(of, "guess")
        answer = guarded.request("", "POST", "/auth/token", data={"username": name, "password": token})
        assert answer.status_code == 401
        assert token not in answer.text


def test_the_panel_segments_and_submits_with_a_token(guarded: Guarded, truth: Path, tmp_path: Path) -> None:
    anna = panel(guarded, "anna")
    assert anna.info()["access"]["user"] == "anna"
    session = anna.create_session(guarded.server.volumes(CASE))
    assert anna.infer(session_id=session, folder=tmp_path).params["model_version"].startswith("v")
    assert anna.save_label(CASE, truth, tag="panel")["version"].startswith("v")
    assert users_of_labels(guarded, "panel") == ["anna"]


def test_the_panel_says_why_it_was_refused(guarded: Guarded, truth: Path) -> None:
    with pytest.raises(NotAuthorized) as caught:
        panel(guarded, "rita").save_label(CASE, truth)
    assert (caught.value.status, caught.value.field) == (403, "role")
    assert "rita is a reader and may not do this: that takes an annotator." in caught.value.message
    with pytest.raises(NotAuthorized) as caught:
        panel(guarded, "").info()
    assert caught.value.status == 401
    assert "needs an access token" in caught.value.message
    for token in ("", "guess"):
        last = list(diagnose(guarded.server.url, token))[-1]
        assert (last.step, last.ok) == (TOKEN, False)
    steps = list(diagnose(guarded.server.url, guarded.tokens["rita"]))
    assert all(step.ok for step in steps)
    assert [step.detail for step in steps if step.step == TOKEN] == ["rita (reader)"]


def test_a_running_server_refuses_a_token_as_soon_as_it_is_revoked(guarded: Guarded) -> None:
    guarded.tokens["guest"] = guarded.users.add("guest", Role.ANNOTATOR)
    client = panel(guarded, "guest")
    assert client.info()["access"]["user"] == "guest"
    guarded.users.revoke("guest")
    with pytest.raises(NotAuthorized, match="revoked"):
        client.info()
    assert panel(guarded, "anna").info()["access"]["user"] == "anna"
