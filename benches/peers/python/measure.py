"""Starts a program, says its process id, waits for it, and says what it took: a number a line.

A process of its own, and a small one: the kernel counts into a program's peak memory what its parent had when it started
it. Without `-I -S` this one would be larger than what it measures.
"""

import os
import sys
import time

started = time.monotonic()
# What the program prints goes to the log, the standard error; the standard output is for the numbers.
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
print(process, flush=True)
_, status, usage = os.wait4(process, 0)
print(time.monotonic() - started)
print(os.waitstatus_to_exitcode(status))
print(usage.ru_utime + usage.ru_stime)
print(usage.ru_maxrss)
