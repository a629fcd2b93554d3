"""What the services hold once they are wired."""

import shutil

from friesian_fast import _core
from friesian_fast.release.open import open_release
from friesian_services.config import RecommenderConfig
from friesian_services.recommender.__main__ import build
from friesian_services.timers import Timers
from friesian_services.wiring import open_index


def searched_exactly(releases, root):
    """The release, set so that its index compares all vectors by codes."""
    release = open_release(shutil.copytree(releases, root / "releases", symlinks=True))
    index = release.index()
    _core.store_depth(str(index.path), index.nlist, index.rerank, index.tuned_k, 1.0)
    return open_release(release.path, verify=False)


def test_the_recommender_has_no_codes_to_search_by(ruled_releases, tmp_path):
    release = searched_exactly(ruled_releases, tmp_path)
    assert open_index(release).exact_scan is not None
    recommender, _ = build(release, RecommenderConfig(release_path=str(release.path)), Timers())
    assert recommender._rules._index.exact_scan is None


def test_the_table_of_ids_is_made_before_the_first_request(releases, string_releases):
    for directory in (releases, string_releases):
        release = open_release(directory)
        recommender, _ = build(release, RecommenderConfig(release_path=str(directory)), Timers())
        for index in (open_index(release), recommender._rules._index):
            assert index._positions is not None
