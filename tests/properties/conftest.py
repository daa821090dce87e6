"""How much the laws are tried: a second each, and longer by `just slow`, which sets LAWS_EXAMPLES."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    max_examples=int(os.environ.get("LAWS_EXAMPLES", "25")),
    deadline=None,
    derandomize=False,  # on CI, too: every run looks at other examples
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("laws")
