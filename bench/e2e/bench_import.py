"""What `import friesian_fast` costs on top of NumPy: fresh processes, interleaved, CPU time, medians."""

import statistics
import subprocess
import sys

TIMED = """
import time
import numpy
started = time.process_time()
{statement}
print(time.process_time() - started)
"""
ROUNDS = 15
BUDGET_MS = 30


def import_cpu_ms(statement):
    code = TIMED.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout) * 1000


def test_import(benchmark):
    added = []

    def one_process():
        added.append(import_cpu_ms("import friesian_fast, friesian_fast.hashing"))

    benchmark.group = "import friesian_fast after numpy"
    benchmark.pedantic(one_process, rounds=ROUNDS, warmup_rounds=1)
    median_ms = statistics.median(added)
    benchmark.extra_info["added_cpu_ms"] = round(median_ms, 2)
    print(f"\nimport friesian_fast adds {median_ms:.1f} ms of CPU to importing NumPy (budget {BUDGET_MS} ms)")
