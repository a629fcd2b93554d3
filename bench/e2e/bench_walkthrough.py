"""The walkthrough's five steps on 100,000 records, as a user runs them: processes from start to end.

The original cannot be installed beside us; its figures for the same steps on the same kind of machine (2 cores, one
Spark setting tuned) stand here as constants.
"""

import json

from friesian_fast.usecases.pipeline import run_pipeline
from friesian_fast.usecases.recsys2021 import demo

ORIGINAL_CPU_S = {"all": 692, "preprocess": 169, "train_wnd": 151, "train_two_tower": 123, "predict_two_tower": 152}
CPU_BUDGET_S = 140
MAX_AUC_GAP = 0.01


def test_walkthrough(benchmark, tmp_path, capsys):
    steps = [step for step in demo.STEPS if step.name != "publish"]
    costs = benchmark.pedantic(lambda: list(run_pipeline(steps, tmp_path)), rounds=1)
    metrics = json.loads((tmp_path / "recsys_wnd" / "ranker.json").read_text())["metrics"]
    assert metrics["optimum_auc"] - metrics["val_auc"] < MAX_AUC_GAP
    cpu = {cost.name: cost.cpu_s for cost in costs}
    cpu["all"] = sum(cpu.values())
    wall_s = sum(cost.wall_s for cost in costs)
    benchmark.group = "the walkthrough, 100k records"
    benchmark.extra_info.update({f"cpu_s_{name}": round(seconds, 1) for name, seconds in cpu.items()})
    with capsys.disabled():
        print(f"\n  val_auc {metrics['val_auc']:.4f}, the best possible {metrics['optimum_auc']:.4f}")
        for name, seconds in cpu.items():
            original = ORIGINAL_CPU_S.get(name)
            ratio = f"; the original {original} s, {original / seconds:.1f} times" if original else ""
            print(f"  {name}: {seconds:.1f} CPU s{ratio}")
        print(f"  all: {wall_s:.1f} s of wall time, budget {CPU_BUDGET_S} CPU s")
