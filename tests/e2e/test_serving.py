"""The release that the steps made, asked the way users ask."""

import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.services.processes import Served

from friesian_fast.release.open import open_release

pytestmark = pytest.mark.slow

PROTOS = Path(__file__).parents[2] / "services" / "proto"


@pytest.fixture(scope="module")
def served(small_home, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "all.log"
    server = Served("all", "--releases", small_home / "releases", "--http-port", 0, "-p", 0, last="release", log=log)
    yield server
    assert server.stop() == 0


def answer_of(served, user, k=10, candidates=50):
    response = httpx.get(f"{served.http()}/recommender/recommend/{user}", params={"k": k, "canK": candidates})
    assert response.status_code == 200, response.text
    return response.json()


def test_http_answers_in_the_originals_shape(served):
    answer = answer_of(served, 20)
    assert list(answer) == ["ids", "probs", "success", "errorCode", "errorMsg"]
    assert len(set(answer["ids"])) == 10
    assert answer["probs"] == sorted(answer["probs"], reverse=True)
    assert (answer["success"], answer["errorCode"], answer["errorMsg"]) == (True, None, None)


def test_the_answer_is_what_the_parts_give_by_hand(served, small_home):
    """Search, rows and scores from the parts; by ONNX Runtime the chosen runtime's scores are right."""
    import onnxruntime

    release = open_release(small_home / "releases")
    query = release.row_store("user_vector").decode(np.array([20]))
    ids, _ = release.index().search(query.columns["embedding"], 50)
    user, items = release.row_store("user").decode(np.array([20])), release.row_store("item").decode(ids[0])
    inputs = {
        value.name: items.columns[value.column]
        if value.row_set == "item"
        else np.repeat(user.columns[value.column], 50)
        for value in release.spec.model_inputs
    }
    (exact,) = onnxruntime.InferenceSession(release.ranker_path).run(["score"], inputs)
    scores = release.ranker().score(inputs, 10)
    best = np.argsort(-scores, kind="stable")[:10]
    np.testing.assert_allclose(scores[best], exact[best], atol=2e-3)
    answer = answer_of(served, 20)
    assert answer["ids"] == ids[0][best].tolist()
    np.testing.assert_allclose(answer["probs"], scores[best], rtol=1e-5)


def test_an_unknown_user_gets_the_popular_items_and_the_reason(served, small_home):
    answer = answer_of(served, 2_000_000_000)
    assert answer["success"] is True
    assert "2000000000" in answer["fallback"]
    popular = open_release(small_home / "releases").popular
    assert answer["ids"] == [item.id for item in popular[:10]]


def test_a_client_generated_from_the_originals_proto(served, tmp_path):
    """In a process of its own: nothing of ours but the file of the contract."""
    flags = [f"-I{PROTOS}", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *flags, str(PROTOS / "recommender.proto")], check=True)
    client = textwrap.dedent(
        """
        import sys, grpc, recommender_pb2 as pb, recommender_pb2_grpc as rpc
        stub = rpc.RecommenderStub(grpc.insecure_channel(sys.argv[1]))
        reply = stub.getRecommendIDs(pb.RecommendRequest(ID=[20, 21], recommendNum=10, candidateNum=50))
        print([list(answer.ID) for answer in reply.IDProbList])
        """
    )
    command = [sys.executable, "-c", client, served.grpc()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([answer_of(served, 20)["ids"], answer_of(served, 21)["ids"]])


def test_five_processes_answer_what_one_does(served, small_home, tmp_path):
    ports = {f"FRIESIAN_{name}_PORT": "0" for name in ("RECALL", "FEATURE_RECALL", "FEATURE", "RANKING")}
    split = Served(
        *("all", "--split", "--releases", small_home / "releases", "--http-port", 0, "-p", 0),
        last="recommender",
        log=tmp_path / "split.log",
        env=ports,
    )
    try:
        for user in (20, 99, 4999, 2_000_000_000):
            split_answer = httpx.get(f"{split.http('recommender')}/recommender/recommend/{user}").json()
            assert split_answer["ids"] == answer_of(served, user)["ids"]
    finally:
        assert split.stop() == 0
