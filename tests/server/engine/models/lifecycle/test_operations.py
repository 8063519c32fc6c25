"""What operators request: loads, ends, labels and shares."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lifecycle_site import Site
from spyglass_contract.errors import CertificateError, FailedPrecondition, ModelError, NotFound
from spyglass_server.engine.models.routing import Routing, Share


def label(site: Site, name: str, version: int) -> None:
    site.lifecycle.route("colors", lambda routing: routing.with_label(name, version))


def test_a_loaded_version_serves_beside_what_the_policy_chooses(site: Site) -> None:
    site.write(1)
    site.write(2)
    site.start()

    assert site.lifecycle.load("colors", 1).result(10).card.version == 1
    site.refresh()

    assert (site.served(), site.served("1"), site.served("2")) == (2, 1, 2)


def test_without_a_version_the_highest_one_is_loaded(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(9)

    site.lifecycle.load("colors").result(10)

    assert site.served() == 9


def test_the_load_of_a_bad_file_fails_and_loads_again_when_requested(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2, "bad")
    with pytest.raises(CertificateError, match="outputs differ"):
        site.lifecycle.load("colors", 2).result(10)
    tries = len(site.reports)

    with pytest.raises(CertificateError, match="outputs differ"):
        site.lifecycle.load("colors", 2).result(10)

    assert len(site.reports) == tries + 2 and site.served() == 1


def test_two_loads_of_one_version_at_once_are_one(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2)
    site.hold_loads()
    with ThreadPoolExecutor(8) as threads:
        loads = list(threads.map(lambda _: site.lifecycle.load("colors", 2), range(8)))
    site.gate.set()

    assert len({id(load.result(10)) for load in loads}) == 1
    assert [report.state.name for report in site.reports if report.version == 2] == ["LOADING", "SERVING"]


@pytest.mark.parametrize(("name", "version"), [("colors", 7), ("other", 0), ("other", 1), ("x" * 10_000, 1)])
def test_what_the_repository_lacks_cannot_be_loaded(site: Site, name: str, version: int) -> None:
    site.write(1)
    site.start()
    with pytest.raises(NotFound) as caught:
        site.lifecycle.load(name, version)
    assert len(caught.value.message) < 300


def test_an_ended_version_gives_way_to_the_next_and_does_not_come_back(site: Site) -> None:
    site.write(1)
    site.write(2)
    site.start()

    site.lifecycle.unload("colors", 2)
    site.refresh()

    assert (site.served(), site.served("2")) == (1, 0)
    site.lifecycle.load("colors", 2).result(10)
    assert site.served() == 2


def test_an_ended_model_stays_away_until_it_is_loaded(site: Site) -> None:
    site.write(1)
    site.start()
    ended = site.lifecycle.unload("colors")
    assert [status.version for status in ended] == [1]
    site.write(2)
    site.refresh()
    assert site.served() == 0

    site.lifecycle.load("colors", 1).result(10)
    site.refresh()

    assert (site.served(), site.served("2")) == (1, 0)


def test_a_version_that_is_ended_while_it_loads_never_serves(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2)
    site.hold_loads()
    loading = site.lifecycle.load("colors", 2)
    assert site.begun.wait(10)
    site.lifecycle.unload("colors", 2)

    site.gate.set()

    with pytest.raises(ModelError, match="went while they were loaded"):
        loading.result(10)
    assert (site.served(), site.states()) == (1, {1: "SERVING"})


def test_a_version_with_a_label_cannot_be_ended_alone(site: Site) -> None:
    site.write(1)
    site.start()
    label(site, "stable", 1)
    with pytest.raises(FailedPrecondition, match="has the label stable; move or remove the label first"):
        site.lifecycle.unload("colors", 1)


def test_requests_without_a_version_get_the_stable_one(site: Site) -> None:
    site.write(1)
    site.start()
    label(site, "stable", 1)
    site.write(2)

    site.refresh()

    assert [site.served(selector) for selector in ("", "stable", "1", "2")] == [1, 1, 1, 2]


def test_labels_and_shares_survive_a_restart(site: Site) -> None:
    site.write(1)
    site.start()
    label(site, "stable", 1)
    site.write(2)
    site.refresh()
    label(site, "canary", 2)
    site.lifecycle.route("colors", lambda routing: routing.with_share(Share("stable", "canary", 100)))
    site.lifecycle.close()

    site.start()

    assert [site.served(selector) for selector in ("", "stable", "canary", "1")] == [2, 2, 2, 1]


def test_a_label_keeps_its_version_and_the_one_before(site: Site) -> None:
    for version in (1, 2, 3):
        site.write(version)
    site.start("all")
    label(site, "stable", 1)
    label(site, "stable", 2)
    site.lifecycle.close()

    site.start("latest")
    assert [site.served(selector) for selector in ("", "1", "2", "3")] == [2, 1, 2, 3]
    site.lifecycle.route("colors", lambda routing: routing.rolled_back("stable"))

    assert site.served() == 1


def test_a_version_that_answers_a_share_goes_on_serving(site: Site) -> None:
    site.write(1)
    site.write(2)
    site.start("all")
    site.lifecycle.route("colors", lambda routing: routing.with_share(Share(2, 1, 100)))
    site.lifecycle.close()

    site.start("latest")

    assert (site.served(), site.served("1")) == (1, 1)


def test_a_label_of_a_version_that_does_not_serve_is_refused(site: Site) -> None:
    site.write(1)
    site.start()
    with pytest.raises(FailedPrecondition, match="the label stable needs version 7 of colors, which"):
        label(site, "stable", 7)
    assert not (site.folder / "colors/routing.json").exists()


def test_a_version_is_held_for_its_label_and_only_so_long(site: Site) -> None:
    site.write(1)
    site.write(2)
    site.start()

    with site.lifecycle.holding("colors", 1) as loading:
        loading.result(10)
        label(site, "old", 1)
    assert (site.served(), site.served("old")) == (2, 1)
    site.lifecycle.route("colors", lambda routing: routing.without_label("old"))

    assert site.served("1") == 0


def test_a_label_changed_in_the_file_leads_to_its_version_when_that_serves(site: Site) -> None:
    site.write(1)
    site.start()
    label(site, "stable", 1)
    site.write(2)
    (site.folder / "colors/routing.json").write_text('{"labels": {"stable": 2}}')
    site.hold_loads()
    site.lifecycle.refresh()
    assert site.begun.wait(10)
    assert site.served("stable") == 1

    site.gate.set()
    assert site.lifecycle.settled(10)

    assert site.served("stable") == 2


def test_a_damaged_file_of_labels_leaves_them_as_they_are(site: Site) -> None:
    site.write(1)
    site.start()
    label(site, "stable", 1)
    site.write(2)
    (site.folder / "colors/routing.json").write_text('{"labels": {"sta')

    site.refresh()

    assert (site.served(), site.served("stable")) == (1, 1)
    assert "is damaged" in site.lifecycle.routings()["colors"][1]
    with pytest.raises(FailedPrecondition, match="damaged") as caught:
        label(site, "canary", 2)
    assert caught.value.reason == "ROUTING_DAMAGED"
    (site.folder / "colors/routing.json").write_text('{"labels": {"stable": 2}}')
    site.refresh()
    assert (site.served("stable"), site.lifecycle.routings()["colors"][1]) == (2, "")


def test_a_start_with_a_damaged_file_of_labels_fails(site: Site) -> None:
    site.write(1)
    (site.folder / "colors/routing.json").write_text("half")
    with pytest.raises(ModelError, match=r"colors/routing\.json is damaged"):
        site.start()


def test_a_label_that_cannot_be_written_does_not_take_effect(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write(1)
    site.write(2)
    site.start("all")
    label(site, "stable", 1)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FailedPrecondition, match="cannot be written: No space left on device") as caught:
        label(site, "stable", 2)

    assert (site.served("stable"), caught.value.reason) == (1, "STORE_UNWRITABLE")
    assert sorted(path.name for path in (site.folder / "colors").iterdir()) == ["1", "2", "routing.json"]


def test_changes_at_once_are_all_kept(site: Site) -> None:
    site.write(1)
    site.start()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: label(site, f"label-{number}", 1), range(40)))

    assert len(site.lifecycle.routings()["colors"][0].labels) == 40


def test_two_servers_of_one_folder_keep_the_changes_of_each_other(site: Site) -> None:
    site.write(1)
    first = site.start()
    second = site.start()

    first.route("colors", lambda routing: routing.with_label("a", 1))
    second.route("colors", lambda routing: routing.with_label("b", 1))
    first.refresh()

    assert dict(first.routings()["colors"][0].labels) == {"a": 1, "b": 1}
    first.close()


def test_a_change_of_a_model_whose_files_are_gone_is_refused(site: Site, tmp_path: Path) -> None:
    site.write(1)
    site.start()
    with pytest.raises(NotFound, match="the repository has no model 'other'; it has colors"):
        site.lifecycle.route("other", lambda routing: Routing())
