"""What Spark's workers do around our tasks."""

import gc

from friesian_fast.feature.tasks import run_tasks


def watched_objects(task):
    """How many objects the garbage collector walks through after this task, and how many it does not."""
    return {"walked": len(gc.get_objects()), "kept": gc.get_freeze_count()}


def test_modules_are_not_walked_through_after_every_task(spark):
    for _ in range(2):  # the same worker, or another of Spark's: what is kept shrinks by what is freed meanwhile
        (watched,) = run_tasks(spark, watched_objects, [{}])
        assert watched["kept"] > 10 * watched["walked"]
