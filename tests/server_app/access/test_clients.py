"""Both clients with tokens: MONAI Label's unmodified one, and our panel's."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from monailabel.client.client import MONAILabelClient, MONAILabelClientException
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.diagnosis import TOKEN, diagnose
from TumorLoopLib.client.errors import NotAuthorized

from tests.server_app.access.conftest import CASE, Guarded
from tests.server_app.conftest import load, voxels
from training.labels import LABEL_NAMES


@pytest.fixture
def truth(guarded: Guarded) -> Path:
    return guarded.server.studies / CASE / f"{CASE}_seg.nii.gz"


class Stock:
    """MONAI Label's client as its panel uses it: logged in once, with the user's name and the token as the password,
    and made anew for each call. (With a token, one client sends the headers of an earlier call along.)
    """

    def __init__(self, guarded: Guarded, name: str, folder: Path) -> None:
        self._make = partial(MONAILabelClient, guarded.server.url, tmpdir=str(folder), client_id="a name of its own")
        assert self._make().auth_enabled()
        self._token = self._make().auth_token(name, guarded.tokens[name])
        assert self().auth_valid_token()

    def __call__(self) -> MONAILabelClient:
        client = self._make()
        client.update_auth(self._token)
        return client


def panel(guarded: Guarded, name: str) -> TumorLoopClient:
    return TumorLoopClient(guarded.server.url, guarded.tokens.get(name), user="a name of its own")


# === MONAI Label's client ===


def test_the_stock_client_does_the_whole_loop_with_tokens(guarded: Guarded, truth: Path, tmp_path: Path) -> None:
    anna, tom = Stock(guarded, "anna", tmp_path), Stock(guarded, "tom", tmp_path)
    assert anna().info()["access"] == {"tokens": True, "user": "anna", "role": "annotator"}
    assert anna().next_sample("first", {})["id"] == CASE
    file, facts = anna().infer("tumorloop", CASE, {})
    assert facts["label_names"] == LABEL_NAMES
    assert load(file).shape == load(truth).shape
    session = anna().create_session(str(_four_in_one(guarded, tmp_path)))["session_id"]
    by_session, _ = anna().infer("tumorloop", "", {}, session_id=session)
    assert np.array_equal(voxels(by_session), voxels(file))
    assert anna().remove_session(session)["name"] == session
    assert anna().upload_image(str(_four_in_one(guarded, tmp_path)), image_id="sent")["image"] == "sent"
    saved = anna().save_label(CASE, str(truth), params={"comment": "with a token"})
    assert saved["version"].startswith("v")
    assert np.count_nonzero(voxels(anna().download_label(CASE, "final"))) == np.count_nonzero(voxels(truth))
    assert CASE in anna().datastore()["objects"]
    assert tom().train_start("tumorloop", {"max_epochs": 900, "validate_every": 900})["id"]
    assert anna().train_status()["status"] in ("SUBMITTED", "RUNNING")
    with pytest.raises(MONAILabelClientException) as caught:
        anna().train_stop()
    assert "Status: 403" in caught.value.msg
    tom().train_stop()


def test_a_label_bears_the_name_of_the_token_not_the_one_the_client_claims(guarded: Guarded, truth: Path) -> None:
    with open(truth, "rb") as handle:
        sent = guarded.request(
            "anna", "PUT", "/datastore/label", params={"image": CASE, "tag": "whose"},
            files={"label": handle}, data={"params": '{"client_id": "mallory", "user": "mallory"}'},
        )  # fmt: skip
    assert sent.status_code == 200, sent.text
    labels = guarded.request("rita", "GET", f"/cases/{CASE}/labels").json()["labels"]
    assert [label["user"] for label in labels if label["tag"] == "whose"] == ["anna"]
    assert "mallory" not in str(labels)


def test_the_stock_client_is_told_what_its_role_may_not(guarded: Guarded, truth: Path, tmp_path: Path) -> None:
    rita, anna = Stock(guarded, "rita", tmp_path), Stock(guarded, "anna", tmp_path)
    assert rita().infer("tumorloop", CASE, {})[1]["model_version"].startswith("v")
    with pytest.raises(MONAILabelClientException) as caught:
        rita().save_label(CASE, str(truth), params={})
    assert "Status: 403" in caught.value.msg
    assert "rita is a reader and may not" in caught.value.msg
    with pytest.raises(MONAILabelClientException) as caught:
        anna().train_start("tumorloop", {})
    assert "Status: 403" in caught.value.msg
    with pytest.raises(MONAILabelClientException) as caught:
        rita().infer("tumorloop", CASE, {"save_label": True})
    assert "Status: 403" in caught.value.msg


def test_one_stock_client_can_be_used_for_several_calls(guarded: Guarded, tmp_path: Path) -> None:
    client = Stock(guarded, "anna", tmp_path)()
    client.next_sample("first", {})  # from now on it announces a body with every call
    assert client.info()["name"] == "TumorLoop"
    assert client.infer("tumorloop", CASE, {})[1]["label_names"] == LABEL_NAMES
    assert CASE in client.datastore()["objects"]


def test_without_a_token_the_stock_client_gets_nowhere(guarded: Guarded, truth: Path, tmp_path: Path) -> None:
    client = MONAILabelClient(guarded.server.url, tmpdir=str(tmp_path))
    assert not client.auth_valid_token()
    for attempt in (
        lambda: client.info(),
        lambda: client.infer("tumorloop", CASE, {}),
        lambda: client.save_label(CASE, str(truth)),
    ):
        with pytest.raises(MONAILabelClientException) as caught:
            attempt()
        assert "Status: 401" in caught.value.msg


@pytest.mark.parametrize(("name", "of"), [("rita", "anna"), ("", "anna"), ("anna", ""), ("nobody", "anna")])
def test_a_name_and_a_token_that_do_not_belong_together_do_not_log_in(guarded: Guarded, name: str, of: str) -> None:
    token = guarded.tokens.get(of, "guess")
    answer = guarded.request("", "POST", "/auth/token", data={"username": name, "password": token})
    assert answer.status_code == 401
    assert token not in answer.text


# === The panel's client ===


def test_the_panel_segments_submits_and_trains_with_tokens(guarded: Guarded, truth: Path, tmp_path: Path) -> None:
    anna = panel(guarded, "anna")
    assert anna.info()["access"]["user"] == "anna"
    session = anna.create_session(guarded.server.volumes(CASE))
    result = anna.infer(session_id=session, folder=tmp_path)
    assert result.params["model_version"].startswith("v")
    assert anna.save_label(CASE, truth, tag="panel")["version"].startswith("v")
    assert [label["user"] for label in anna.labels(CASE) if label["tag"] == "panel"] == ["anna"]


def test_the_panel_says_in_a_sentence_what_may_not_be_done(guarded: Guarded, truth: Path) -> None:
    with pytest.raises(NotAuthorized) as caught:
        panel(guarded, "rita").save_label(CASE, truth)
    assert (caught.value.status, caught.value.field) == (403, "role")
    assert "rita is a reader and may not do this: that takes an annotator." in caught.value.message
    with pytest.raises(NotAuthorized) as caught:
        panel(guarded, "").info()
    assert caught.value.status == 401
    assert "needs an access token" in caught.value.message


def test_the_panels_connection_test_names_the_token(guarded: Guarded) -> None:
    for token in ("", "guess"):
        last = list(diagnose(guarded.server.url, token))[-1]
        assert (last.step, last.ok) == (TOKEN, False)
    steps = list(diagnose(guarded.server.url, guarded.tokens["rita"]))
    assert all(step.ok for step in steps)
    assert [step.detail for step in steps if step.step == TOKEN] == ["rita (reader)"]


# === Revoking ===


def test_a_revoked_token_ends_with_the_next_request_and_without_a_restart(guarded: Guarded) -> None:
    guarded.tokens["guest"] = guarded.users.add("guest", guarded.users.identify(guarded.tokens["anna"]).role)  # type: ignore[union-attr]
    client = panel(guarded, "guest")
    assert client.info()["access"]["user"] == "guest"
    guarded.users.revoke("guest")
    started = time.monotonic()
    with pytest.raises(NotAuthorized) as caught:
        client.info()
    assert time.monotonic() - started < 5
    assert "revoked" in caught.value.message
    assert panel(guarded, "anna").info()["access"]["user"] == "anna"


def _four_in_one(guarded: Guarded, folder: Path) -> Path:
    import nibabel

    images = [load(guarded.server.volumes(CASE)[role]) for role in ("flair", "t1", "t1ce", "t2")]
    path = folder / "four.nii.gz"
    data = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, images[0].affine), path)
    return path
