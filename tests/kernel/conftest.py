"""Kernel tests run inside guests, one for each kernel; on the host each is reported as if it had run here.

Write them as plain pytest tests: fixtures of any scope live in the guest. Every test has the parameter `kernel` ("6.1", "6.12") and
may ask for it. Modules here are imported on the host too, where there is no bcc: import nothing of the kind at the top.
"""

import os

from clew_lab.guest import KERNEL_VARIABLE

from tests.kernel.rig import rig, tell_counters  # noqa: F401

if KERNEL_VARIABLE in os.environ:
    from clew_lab.kernel_tests_guest import *  # noqa: F403
else:
    from clew_lab.kernel_tests import *  # noqa: F403
