"""`serve all` under `loadtest` at half of its peak rate for five minutes: no error, and memory that stays flat."""

import pytest
from bench.e2e import walkthrough_release
from bench.e2e.bench_serving import load, serving

SECONDS = 300
MOST_GROWTH_MB = 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_soak(benchmark, tmp_path, capsys):
    releases, _, _ = walkthrough_release.build(tmp_path)
    with serving(releases, tmp_path / "log") as served:
        target, watched = served.http().removeprefix("http://"), ("--server-pid", served.process.pid)
        peak = load(target, tmp_path / "peak.json", "--clients", 16, "--duration", 8, "--warmup", 3)["achieved_rate"]
        rate = ("--rate", f"{peak / 2:.0f}", "--duration", SECONDS, "--warmup", 5)
        found = benchmark.pedantic(load, (target, tmp_path / "soak.json", *rate, *watched), rounds=1)
    server, latency = found["server"], found["latency_ms"]
    benchmark.extra_info.update({"peak_rate": peak, "rate": found["achieved_rate"], **latency, **server})
    with capsys.disabled():
        print(f"\n  {found['achieved_rate']:,.0f} requests/s (peak {peak:,.0f}) for {SECONDS} s: ", end="")
        print(f"{sum(found['errors'].values())} errors, {found['fallbacks']} fallbacks, ", end="")
        print(f"p50 {latency['p50']:.2f}, p99 {latency['p99']:.2f}, p99.9 {latency['p99.9']:.2f} ms, ", end="")
        print(f"memory {server['resident_mb_first']:.1f} MB at the start, {server['resident_mb_last']:.1f} at the end")
        for text in found["warnings"]:
            print(f"  note: {text}")
    assert found["errors"] == {}
    assert found["fallbacks"] == 0
    assert server["resident_mb_last"] - server["resident_mb_first"] < MOST_GROWTH_MB
    assert (tmp_path / "log").read_text().count("WARNING") == 0
