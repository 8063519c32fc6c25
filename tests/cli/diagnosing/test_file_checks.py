"""Models and TLS files: each check finds what is broken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from spyglass.v1.model_pb2 import ModelCard
from spyglass_cli.diagnosing.finding import Finding
from spyglass_cli.diagnosing.model_folder import check_models
from spyglass_cli.diagnosing.tls import check_tls
from spyglass_contract.model.signing import new_key, read_key, sign_model

Find = Callable[..., list[Finding]]
MakeModel = Callable[..., Path]


@pytest.mark.parametrize("quick", [True, False])
def test_a_good_model_is_one_line(find: Find, make_model: MakeModel, quick: bool) -> None:
    (found,) = find(check_models, quick=quick, models=[make_model().parents[2]])

    assert found.status == "ok"
    assert ("reproduces its certificate" in found.message) == (not quick)


def test_models_at_urls_are_copied_and_checked(find: Find, make_model: MakeModel, tmp_path: Path) -> None:
    url = f"file://{make_model().parents[2]}"
    (found,) = find(check_models, models=url, model_cache=tmp_path / "copies")

    assert (found.status, found.message[:8]) == ("ok", "colors/1")
    assert list((tmp_path / "copies/versions").glob("*/files/colors/1/model.onnx"))


def test_models_at_urls_that_cannot_be_read_are_found(find: Find, tmp_path: Path) -> None:
    (found,) = find(check_models, models="nothing://bucket", model_cache=tmp_path / "copies")

    assert (found.status, "no installed package opens nothing://" in found.message) == ("fail", True)


def test_a_folder_without_models_is_found(find: Find, tmp_path: Path) -> None:
    (found,) = find(check_models, models=[tmp_path])

    assert found.status == "fail"
    assert "has no file NAME/VERSION/model.onnx" in found.message


def test_a_default_model_that_is_missing_is_found(find: Find) -> None:
    (found,) = find(check_models, default_model=["nobody"])

    assert "the default model 'nobody' is not among the models" in found.message


@pytest.mark.parametrize("quick", [True, False])
def test_a_damaged_file_is_found_beside_a_good_one(
    find: Find, make_model: MakeModel, make_card: Callable[..., ModelCard], quick: bool
) -> None:
    bad, good = make_model(make_card("bad")), make_model(make_card("good"))
    bad.write_bytes(bad.read_bytes()[:-100])

    first, second = find(check_models, quick=quick, models=[good.parents[2]])

    assert (first.status, second.status) == ("fail", "ok")
    assert first.message.startswith("bad/1: the file is no ONNX model")
    assert first.message.endswith("(MODEL_INVALID)")


@pytest.mark.parametrize("quick", [True, False])
def test_a_card_in_the_wrong_folder_is_found(find: Find, make_model: MakeModel, quick: bool) -> None:
    models = make_model().parents[2]
    (models / "colors/1").rename(models / "colors/2")

    (found,) = find(check_models, quick=quick, models=[models])

    assert "the card in the file is of colors/1" in found.message


def test_a_model_that_does_not_reproduce_its_certificate_is_found(
    find: Find, make_model: MakeModel, make_card: Callable[..., ModelCard]
) -> None:
    card = make_card()
    card.certificate.images[0].expected[0] += 0.1
    models = make_model(card).parents[2]

    (found,) = find(check_models, quick=False, models=[models])

    assert found.status == "fail"
    assert found.message.endswith("(CERTIFICATE_FAILED)")
    assert find(check_models, quick=True, models=[models])[0].status == "ok"


def test_a_signature_that_is_missing_is_found(find: Find, make_model: MakeModel, tmp_path: Path) -> None:
    path = make_model()
    public = new_key(tmp_path / "team.key", None)
    given: dict[str, Any] = {"models": [path.parents[2]], "require_signature": [str(public)]}

    assert "(SIGNATURE_MISSING)" in find(check_models, **given)[0].message
    sign_model(path, read_key(tmp_path / "team.key"))
    assert find(check_models, quick=False, **given)[0].message.endswith("signed")


def test_files_that_every_user_may_change_are_found(find: Find, make_model: MakeModel) -> None:
    path = make_model()
    path.chmod(0o666)
    path.parent.chmod(0o777)

    _, file, folder = find(check_models, models=[path.parents[2]])

    assert (file.status, folder.status) == ("warn", "warn")
    assert file.advice == f"chmod o-w {path}"


@pytest.fixture
def issue(tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Write a certificate that is valid for `days`, and its key. Return the settings."""

    def make(days: int, name: str = "server") -> dict[str, Path]:
        now = datetime.now(UTC)
        issued = trustme.CA().issue_cert(
            "localhost", not_before=now - timedelta(days=100), not_after=now + timedelta(days=days, hours=1)
        )
        certificate, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return {"tls_certificate": certificate, "tls_key": key}

    return make


@pytest.mark.parametrize(
    ("days", "status", "message"),
    [(90, "ok", "valid for 90 days"), (5, "warn", "expires in 5 days"), (-2, "fail", "expired on")],
)
def test_the_end_of_a_certificate_is_reported(
    find: Find, issue: Callable[..., dict[str, Path]], days: int, status: str, message: str
) -> None:
    (found,) = find(check_tls, **issue(days))

    assert found.status == status
    assert message in found.message


def test_a_key_that_others_can_read_is_found(find: Find, issue: Callable[..., dict[str, Path]]) -> None:
    files = issue(90)
    files["tls_key"].chmod(0o644)

    _, found = find(check_tls, **files)

    assert found.status == "warn"
    assert found.advice == f"chmod 600 {files['tls_key']}"


def test_a_key_of_another_certificate_is_found(find: Find, issue: Callable[..., dict[str, Path]]) -> None:
    files = issue(90) | {"tls_key": issue(90, "other")["tls_key"]}

    assert "does not fit the certificate" in find(check_tls, **files)[0].message


def test_a_server_for_everyone_without_tls_is_found(find: Find) -> None:
    assert find(check_tls)[0].status == "ok"
    assert find(check_tls, host="0.0.0.0")[0].status == "warn"
