"""Checks for words that the code does without, each with what to use instead."""

import re

# (pattern, what to do, paths that may use it)
WORDS = [
    (r"\babsl::Now\(", "take a Clock (base/clock.h)", ("base/clock.cc", "base/log.cc")),
    (r"\b(?:sleep_for|sleep_until|SleepFor|usleep|nanosleep)\b",
     "wait on a CondVar or a Clock; nothing sleeps", ()),
    (r"\bfriend class\b", "no friends, except the two that share a representation",
     ("base/digest.h", "base/mutex.h")),
    (r"(?<![A-Za-z_])LOG\(", "LogInfo and its kin (base/log.h)", ()),
    (r"\bstd::(?:mutex|recursive_mutex|shared_mutex|condition_variable|lock_guard|unique_lock)\b|\babsl::Mutex\b",
     "Mutex and CondVar (base/mutex.h)", ("base/mutex.h",)),
    (r"\bstd::async\b|\b\w*thread\w*(?:\.|->)detach\(\)", "an owned thread that is joined", ()),
    (r"\bstd::(?:rand|random_device)\b|\bsrand\(", "CounterRandom or IdSource", ()),
    (r"\bFRIEND_TEST\b", "test through the public contract", ()),
]


def problems(tree):
    for path in tree.files(".h", ".cc"):
        code = tree.code(path)
        for pattern, instead, allowed in WORDS:
            if path in allowed:
                continue
            for match in re.finditer(pattern, code):
                line = code.count("\n", 0, match.start()) + 1
                yield f"{path}:{line}: {match.group(0).strip()}: {instead}"
