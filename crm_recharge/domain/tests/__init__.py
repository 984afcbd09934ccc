"""Tests of the rules. A busy machine fails none of them: an example may take as long as it takes."""

from hypothesis import settings

settings.register_profile("crm_recharge", deadline=None)
settings.load_profile("crm_recharge")
