"""https with an authority that no system knows: which files of certificates work, and what a refusal says."""

import shutil
import ssl
from pathlib import Path

import pytest
from TumorLoopLib.client import TumorLoopClient, certificates
from TumorLoopLib.client.diagnosis import diagnose
from TumorLoopLib.client.errors import ServerUnreachable

from tests.slicer_extension.client.http_server import json_answer
from tests.slicer_extension.client.tls import NAME, https_server, make_authority


@pytest.fixture
def other(tmp_path):
    """Another authority than the server's."""
    return make_authority(tmp_path / "other", "Elsewhere")


@pytest.fixture(autouse=True)
def bundle_of_slicer(monkeypatch, other):
    """``SSL_CERT_FILE`` names a bundle without the server's authority, as in Slicer."""
    monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))


def test_a_server_is_refused_until_its_authority_is_chosen_and_then_serves_both_directions(secured, tmp_path):
    server, ca_file = secured
    with pytest.raises(ServerUnreachable, match=r"is not trusted .*does not know the authority.*\"CA file\""):
        TumorLoopClient(server.url).info()
    assert server.requests == []
    client = TumorLoopClient(server.url, ca_file=ca_file)
    (tmp_path / "big.nii").write_bytes(bytes(8 << 20))
    assert client.upload_image("x", tmp_path / "big.nii") == "x"
    assert len(server.requests[0].body) > 8 << 20


def test_an_authority_in_a_bundle_of_the_system_needs_no_setting_and_a_damaged_bundle_does_no_harm(
    secured, tmp_path, monkeypatch
):
    server, ca_file = secured
    damaged = tmp_path / "damaged.pem"
    damaged.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    monkeypatch.setattr(certificates, "SYSTEM_BUNDLES", ("/no/such/file", str(tmp_path), str(damaged), ca_file))
    assert TumorLoopClient(server.url).info()["image"] == "x"
    monkeypatch.setattr(certificates, "SYSTEM_BUNDLES", ())
    with pytest.raises(ServerUnreachable, match="is not trusted"):
        TumorLoopClient(server.url).info()


def test_what_slicers_bundle_and_the_system_trust_stays_trusted_with_a_ca_file(other, authority):
    with https_server(json_answer({"image": "x"}), other) as elsewhere:
        assert TumorLoopClient(elsewhere.url, ca_file=str(authority.certificate)).info() == {"image": "x"}


def test_a_ca_file_may_be_in_der_form_or_hold_several_certificates(secured, other, tmp_path):
    server, ca_file = secured
    pem = Path(ca_file).read_text()
    der, both = tmp_path / "authority.cer", tmp_path / "beide Zertifikate ä.pem"
    der.write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    both.write_text(f"Wurzelzertifikat\n{other.certificate.read_text()}\n{pem}")
    for path in (der, both):
        assert TumorLoopClient(server.url, ca_file=str(path)).info()["image"] == "x"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        (b"", "holds no certificate"),
        (b"This is no certificate.", "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificate"),
        ("folder", "cannot be read"),
        ("server", "of a server, not of an authority"),
        ("other", "is not in the CA file"),
    ],
)
def test_a_ca_file_that_does_not_help_is_named_with_what_is_wrong(secured, authority, other, tmp_path, content, words):
    server, _ = secured
    path = tmp_path / "ca.pem"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content is not None:
        shutil.copy({"server": authority.server_certificate, "other": other.certificate}[content], path)
    with pytest.raises(ServerUnreachable, match=words) as caught:
        TumorLoopClient(server.url, ca_file=str(path)).info()
    assert f'"{path}"' in str(caught.value)
    assert list(diagnose(server.url, "", ca_file=str(path)))[-1].detail == str(caught.value)
    assert server.requests == []


def test_a_file_that_was_replaced_is_read_again(secured, other, tmp_path):
    server, ca_file = secured
    path = tmp_path / "ca.pem"
    shutil.copy(other.certificate, path)
    client = TumorLoopClient(server.url, ca_file=str(path))
    with pytest.raises(ServerUnreachable, match="is not in the CA file"):
        client.info()
    path.write_text(other.certificate.read_text() + Path(ca_file).read_text())
    assert client.info()["image"] == "x"


def test_a_certificate_for_another_name_is_refused_whatever_is_trusted(secured, monkeypatch):
    server, ca_file = secured
    with pytest.raises(ServerUnreachable, match=r"is not trusted \(Hostname mismatch.*Ask whoever runs the server\.$"):
        TumorLoopClient(server.url.replace("127.0.0.1", "localhost"), ca_file=ca_file).info()
    assert NAME not in server.url
