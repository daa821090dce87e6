"""`python -m tests.soak [STREAMS]`: soak, and print what it has shown."""

import sys

from tests.soak.soak import STREAMS, soak

if __name__ == "__main__":
    findings = soak(int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS)
    count = sum(findings.kinds.values())
    print(f"{count} streams in {findings.duration_s:.0f} s: {dict(findings.kinds)}")
    print(f"memory after each tenth: {[kib // 1024 for kib in findings.memory_kib]} MiB")
    print(f"objects after each tenth: {findings.objects}")
    print(f"left over: {findings.sockets} sockets, {findings.threads} threads, {findings.tasks} tasks")
    for problem in findings.problems[:20]:
        print(problem)
    print(f"{len(findings.problems)} problems")
    sys.exit(bool(findings.problems or findings.sockets or findings.threads or findings.tasks))
