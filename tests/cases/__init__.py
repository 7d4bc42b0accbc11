"""Faults found from outside: each test fails today and says what is right.

A test carries a strict mark with the failure that is seen (`fault`). When the fault is mended, the
test passes, the mark complains, and it is deleted: the test stays. A set-up that does not hold
raises `SetUpError`, which is never the failure that a mark expects.
"""
