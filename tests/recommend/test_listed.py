"""Recall from lists of candidates: who has one, who has none, short ones, rules, and the same over the wire."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from tests.services import tiny_release
from tests.services.tiny_release import ITEMS, LISTED_USERS, UNKNOWN_USER, item_id, user_id

from friesian_fast.errors import ConfigError, InvalidInputError, ReleaseError
from friesian_fast.recommend import (
    Candidates,
    IndexRecall,
    Recommender,
    RulesStage,
    as_ids,
    open_recall,
    open_recommender,
)
from friesian_fast.release import ranker
from friesian_fast.release.inputs import read_inputs
from friesian_fast.release.open import open_release, sha256_of
from friesian_fast.release.plan import PublishPlan, write_plan
from friesian_fast.release.publish import publish
from friesian_fast.release.rules import Pin, Rules
from friesian_fast.release.seen import PLACE, SeenStore, seen_row_set
from friesian_fast.store import MappedRowStore
from friesian_services.client import RemoteRecall, connect
from friesian_services.recall.servicer import CandidatesServicer


@pytest.fixture(scope="module", params=[False, True], ids=["int64", "string"])
def string_ids(request):
    return request.param


@pytest.fixture(scope="module")
def root(tmp_path_factory, string_ids):
    root = tmp_path_factory.mktemp("lists")
    tiny_release.build(root, string_ids=string_ids, lists=True)
    return root


@pytest.fixture(scope="module")
def release(root):
    return open_release(root / "releases")


def recall_of(release, rules=None):
    return open_recall(release, release.index(), release.row_store("user_vector"), rules=rules)


def nearest_of(release):
    """The index alone."""
    index, kind = release.index(), release.spec.row_set("item").id_type
    return IndexRecall(index, release.row_store("user_vector"), kind, RulesStage.of(release, index))


def listed(n, string_ids):
    """Ids and affinities of what is proposed to user number n, best first."""
    user, item, score, affinity = tiny_release.candidates()
    mine = np.flatnonzero(user == n)
    mine = mine[np.argsort(-score[mine])]
    return [item_id(i, string_ids) for i in item[mine].tolist()], affinity[mine]


def plain(ids):
    return ids if isinstance(ids, list) else ids.tolist()


def scores_of(n, ids, affinity, string_ids):
    users, items = tiny_release.features()
    numbers = {item_id(i, string_ids): i for i in range(ITEMS)}
    at = [numbers[item] for item in ids]
    age, spend = users["age"][n], users["spend"][n]
    return tiny_release.expected_scores(age, spend, items["price"][at], items["tags"][at], items["genre"][at], affinity)


def test_a_user_is_proposed_the_list_and_its_columns_reach_the_ranker(release, string_ids):
    recommender = open_recommender(release)
    for n in range(0, LISTED_USERS, 17):
        ids, affinity = listed(n, string_ids)
        count = min(len(ids), 12)
        wanted = scores_of(n, ids[:count], affinity[:count], string_ids)
        got = recommender.recommend(user_id(n, string_ids), k=count, candidates=count)
        order = np.argsort(-wanted, kind="stable")
        assert got.fallback is None
        assert plain(got.ids) == [ids[i] for i in order]
        np.testing.assert_allclose(got.scores, wanted[order], rtol=1e-5)


def test_a_user_without_a_list_gets_the_nearest_with_zeros(release, string_ids):
    user = user_id(LISTED_USERS + 1, string_ids)
    nearest = nearest_of(release).candidates(user, 30)
    found = recall_of(release).candidates(user, 30)
    assert plain(found.ids) == plain(nearest.ids)
    assert np.array_equal(found.columns["affinity"], np.zeros(30, np.float32))
    answer = open_recommender(release).recommend(user, k=30, candidates=30)
    wanted = scores_of(LISTED_USERS + 1, plain(answer.ids), 0, string_ids)
    np.testing.assert_allclose(answer.scores, wanted, rtol=1e-5)


def test_a_short_list_is_filled_up_with_the_nearest(release, string_ids):
    ids, affinity = listed(3, string_ids)
    found = recall_of(release).candidates(user_id(3, string_ids), 60)
    got = plain(found.ids)
    assert (got[: len(ids)], len(got), len(set(got))) == (ids, 60, 60)
    np.testing.assert_array_equal(found.columns["affinity"], np.append(affinity, np.zeros(60 - len(ids))))
    nearest = nearest_of(release).candidates(user_id(3, string_ids), 60)
    assert got[len(ids) :] == [item for item in plain(nearest.ids) if item not in ids][: 60 - len(ids)]


def test_an_unknown_user_gets_the_popular(release, string_ids):
    unknown = "nobody" if string_ids else UNKNOWN_USER
    assert not recall_of(release).candidates(unknown, 10).user_found
    assert "has no vector" in open_recommender(release).recommend(unknown).fallback


def test_rules_hold_for_lists(release, string_ids):
    ids, affinity = listed(5, string_ids)
    pin = next(item_id(n, string_ids) for n in range(ITEMS) if item_id(n, string_ids) not in ids)
    rules = RulesStage(Rules(deny=(ids[0], ids[2]), pins=(Pin(id=pin, place=1),)), release.index())
    found = recall_of(release, rules).candidates(user_id(5, string_ids), 3)
    assert plain(found.ids) == [ids[1], ids[3], ids[4], pin]
    assert found.scores[-1] == -np.inf
    np.testing.assert_array_equal(found.columns["affinity"], [*affinity[[1, 3, 4]], 0])
    filled = recall_of(release, rules).candidates(user_id(5, string_ids), 60)
    assert not {ids[0], ids[2]} & set(plain(filled.ids))
    assert len(filled.ids) == 60 + (filled.scores[-1] == -np.inf)


@contextmanager
def split(release, rules=None):
    """The chain with recall behind a wire."""
    kind = release.spec.row_set("user").id_type
    server = grpc.server(ThreadPoolExecutor(2))
    v1_grpc.add_RecallServicer_to_server(CandidatesServicer(recall_of(release, rules), kind, kind, release.id), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    remote = RemoteRecall(connect("recall", f"127.0.0.1:{port}"), kind, kind, release.id)
    stores = {"users": release.row_store("user"), "items": release.row_store("item")}
    chain = Recommender(release, **stores, recall=remote, ranker=release.ranker(), rules=RulesStage.of(release))
    yield chain
    chain.close()
    server.stop(None)


def test_the_recall_service_gives_the_same(release, string_ids):
    fused = open_recommender(release)
    with split(release) as chain:
        for n in (0, 7, LISTED_USERS - 1, LISTED_USERS, tiny_release.USERS - 1):
            one, other = (any_chain.recommend(user_id(n, string_ids), k=20) for any_chain in (chain, fused))
            assert plain(one.ids) == plain(other.ids)
            np.testing.assert_array_equal(one.scores, other.scores)


def test_what_was_seen_is_hidden_from_lists(release, string_ids, tmp_path):
    """Of the list and of what fills it up, here and behind the wire."""
    n = 5
    ids, affinity = listed(n, string_ids)
    unlisted = [
        item for item in plain(recall_of(release).candidates(user_id(n, string_ids), 60).ids) if item not in ids
    ]
    seen = [ids[0], ids[3], unlisted[0]]
    row_set, tag = seen_row_set(release.spec.row_set("user"), len(seen)), b"the seen"
    places = release.index().positions(as_ids(seen, release.spec.row_set("item").id_type)).astype(np.int32) + 1
    MappedRowStore.write(tmp_path / "seen", row_set, tag, [user_id(n, string_ids)], {PLACE: places[np.newaxis]})
    rows = SeenStore(MappedRowStore.open(tmp_path / "seen", row_set, tag), tag)
    rules = RulesStage(Rules(hide_seen=True), release.index(), seen=rows)
    found = recall_of(release, rules).candidates(user_id(n, string_ids), 3)
    assert plain(found.ids) == [ids[1], ids[2], ids[4]]
    np.testing.assert_array_equal(found.columns["affinity"], affinity[[1, 2, 4]])
    filled = plain(recall_of(release, rules).candidates(user_id(n, string_ids), 60).ids)
    assert len(filled) == 60
    assert not set(seen) & set(filled)
    with split(release, rules) as chain:
        answer = chain.recommend(user_id(n, string_ids), k=60, candidates=60)
    assert answer.fallback is None
    assert sorted(plain(answer.ids)) == sorted(filled)


def test_closing_lets_go_of_all_stores(release, string_ids):
    recall = recall_of(release)
    stores = {"users": release.row_store("user"), "items": release.row_store("item")}
    chain = Recommender(release, **stores, recall=recall, ranker=release.ranker(), rules=RulesStage.of(release))
    chain.close()
    with pytest.raises(InvalidInputError, match="row store of 'candidate' is closed"):
        recall.candidates(user_id(0, string_ids), 3)
    nearest = nearest_of(release)
    nearest.close()
    with pytest.raises(InvalidInputError, match="row store of 'user_vector' is closed"):
        nearest.candidates(user_id(0, string_ids), 3)


def test_publish_times_the_ranker_on_requests_as_they_are_served(root, release):
    """No user has a list of 50: the index fills it up, and makes the whole of it where there is none."""
    inputs = read_inputs(PublishPlan.load(root / "publish.yaml"))
    requests = ranker._requests(inputs, release.path, release.manifest.row_sets, release.manifest.index)
    assert {len(rows["affinity"]) for rows in requests} == {50}


def test_a_recall_stage_that_knows_nothing_of_the_pairs_is_refused(release, string_ids):
    class Older:
        def candidates(self, user, k, asked=None):
            ids = [item_id(1, True)] if string_ids else np.array([item_id(1)], np.int64)
            return Candidates(ids=ids, scores=np.zeros(1, np.float32), user_found=True)

    stores = {"users": release.row_store("user"), "items": release.row_store("item")}
    chain = Recommender(release, **stores, recall=Older(), ranker=release.ranker(), rules=RulesStage.of(release))
    answer = chain.recommend(user_id(0, string_ids), k=1)
    assert "recall gives no column 'affinity'" in answer.fallback


def test_a_request_ranks_as_many_as_the_plan_says(root, tmp_path):
    plan = yaml.safe_load((root / "publish.yaml").read_text())
    plan["rank"]["candidates"] = 15
    (root / "narrow.yaml").write_text(yaml.safe_dump(plan))
    recommender = open_recommender(open_release(publish(root / "narrow.yaml", tmp_path)))
    string_ids = recommender.user_id_type == "string"
    assert len(recommender.recommend(user_id(0, string_ids), explain=True).explanation.candidates) == 15


ID = r"(\d+|'[^']+')"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.set_column(2, "near", [[float("nan")] * len(t)]), "column 'near' holds nan in row 0"),
        (lambda t: t.drop_columns("affinity"), "no column 'affinity'"),
        (lambda t: t.set_column(3, "affinity", [["x"] * len(t)]), "'affinity' has type string"),
        (
            lambda t: t.set_column(1, "item_id", [t["item_id"].to_pylist()[:1] * len(t)]),
            f"user {ID} has item {ID} twice",
        ),
    ],
)
def test_candidates_that_cannot_be_served_are_refused(root, tmp_path, change, message):
    plan = yaml.safe_load((root / "publish.yaml").read_text())
    pq.write_table(change(pq.read_table(root / "candidates.parquet")), root / "bad.parquet")
    plan["candidates"]["path"] = "bad.parquet"
    (root / "bad.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(InvalidInputError, match=message):
        publish(root / "bad.yaml", tmp_path / "releases")
    assert not list((tmp_path).glob("releases/*-*"))


def test_candidates_of_others_and_too_many_are_refused(root, tmp_path, string_ids):
    plan = yaml.safe_load((root / "publish.yaml").read_text())
    table = pq.read_table(root / "candidates.parquet").to_pandas()
    strange = table.copy()
    strange.loc[4, "item_id"] = "gone" if string_ids else 1
    many = table.copy()
    many["user_id"] = user_id(0, string_ids)
    many = many.drop_duplicates("item_id")
    for frame, message in (
        (strange, "name a item without features, such as .* in row 4"),
        (many, f"user {ID} has .*has room for 40"),
    ):
        frame.to_parquet(root / "bad.parquet")
        plan["candidates"]["path"] = "bad.parquet"
        (root / "bad.yaml").write_text(yaml.safe_dump(plan))
        with pytest.raises(InvalidInputError, match=message):
            publish(root / "bad.yaml", tmp_path / "releases")


def test_the_score_feeds_the_ranker_where_it_takes_it(root, tmp_path, string_ids):
    tiny_release.spec(string_ids, lists=True, fed_by="score").save(root / "scored.json")
    plan = yaml.safe_load((root / "publish.yaml").read_text()) | {"spec": "scored.json"}
    table = pq.read_table(root / "candidates.parquet")
    scaled = [score / len(table) for score in table["near"].to_pylist()]
    pq.write_table(table.set_column(2, "near", [scaled]), root / "scaled.parquet")
    plan["candidates"]["path"] = "scaled.parquet"
    (root / "scored.yaml").write_text(yaml.safe_dump(plan))
    release = open_release(publish(root / "scored.yaml", tmp_path))
    ids, _ = listed(3, string_ids)
    proposed = recall_of(release).candidates(user_id(3, string_ids), 60)
    scores = proposed.columns["score"]
    np.testing.assert_array_equal(scores[: len(ids)], proposed.scores[: len(ids)])
    np.testing.assert_array_equal(scores[len(ids) :], np.zeros(60 - len(ids)))
    with split(release) as chain:
        for any_chain in (chain, open_recommender(release)):
            answer = any_chain.recommend(user_id(3, string_ids), k=60, candidates=60)
            known = dict(zip(plain(proposed.ids), scores, strict=True))
            fed = np.array([known[item] for item in plain(answer.ids)])
            wanted = scores_of(3, plain(answer.ids), fed, string_ids)
            np.testing.assert_allclose(answer.scores, wanted, rtol=1e-5)


def test_the_place_feeds_no_ranker(string_ids):
    with pytest.raises(InvalidInputError, match="'affinity' is fed by column 'place' of row set 'candidate'"):
        tiny_release.spec(string_ids, lists=True, fed_by="place")


def test_a_list_with_a_place_twice_is_refused(release, root, tmp_path, string_ids):
    shutil.copytree(release.path, tmp_path / release.id)
    store, path = release.row_store("candidate"), tmp_path / release.id / "rows" / "candidate.rows"
    ids = store.ids()
    columns = {name: values.copy() for name, values in store.decode(ids).columns.items()}
    row = 123
    columns["place"][row, 4] = columns["place"][row, 2]
    MappedRowStore.write(path, store.row_set, release.spec.row_tag("candidate"), ids, columns)
    manifest = json.loads((tmp_path / release.id / "manifest.json").read_text())
    manifest["files"]["rows/candidate.rows"] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (tmp_path / release.id / "manifest.json").write_text(json.dumps(manifest))
    place = columns["place"][row, 2]
    with pytest.raises(ReleaseError, match=f"the list of user {ids[row]} holds place {place} twice"):
        open_release(tmp_path / release.id)


def test_the_plan_survives_a_round_trip(root, tmp_path):
    plan = PublishPlan.load(root / "publish.yaml")
    write_plan(tmp_path / "other.yaml", plan)
    again = PublishPlan.load(tmp_path / "other.yaml").candidates
    assert (again.user, again.item, again.score) == ("user_id", "item_id", "near")
    assert again.path.resolve() == plan.candidates.path.resolve()
    (tmp_path / "other.yaml").write_text((tmp_path / "other.yaml").read_text().replace("score: near", ""))
    with pytest.raises(ConfigError, match="lacks the key 'candidates.score'"):
        PublishPlan.load(tmp_path / "other.yaml")


def test_a_spec_with_lists_needs_them_in_the_plan(root, tmp_path):
    plan = yaml.safe_load((root / "publish.yaml").read_text())
    del plan["candidates"]
    (root / "bad.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(InvalidInputError, match="name its file in the plan under 'candidates'"):
        publish(root / "bad.yaml", tmp_path / "releases")


def test_a_row_set_of_another_shape_is_refused(root, tmp_path):
    spec = json.loads((root / "spec.json").read_text())
    lists = next(row_set for row_set in spec["row_sets"] if row_set["name"] == "candidate")
    lists["columns"][-1]["type"] = "float64"
    (root / "other.json").write_text(json.dumps(spec))
    plan = yaml.safe_load((root / "publish.yaml").read_text()) | {"spec": "other.json"}
    (root / "bad.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(InvalidInputError, match=r"affinity \(list of 40 float64\); it must have .* 40 float32"):
        publish(root / "bad.yaml", tmp_path / "releases")
