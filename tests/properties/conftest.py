"""How much the laws are tried: a few seconds each; LAWS_EXAMPLES=5000 is for an afternoon."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    max_examples=int(os.environ.get("LAWS_EXAMPLES", "60")),
    deadline=None,
    derandomize=False,  # on CI, too: every run looks at other examples
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("laws")
