"""The signature of what is sent to integrators: HMAC-SHA256 over the moment and the raw body, as webhooks are signed elsewhere."""

import hashlib
import hmac
from collections.abc import Iterable

HEADER = "Credit-Signature"


def signature(secrets: Iterable[str], body: bytes, at: int) -> str:
	"""The header's value: `t=<Unix time>`, and one `v1=<hex>` for each secret, of "<t>.<body>".

	Several while a secret is changed, so that whoever checks with either finds its own. Raises ValueError without any.
	"""
	signed = str(at).encode() + b"." + body
	parts = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
	if not parts:
		raise ValueError("nothing is sent without a signature")
	return ",".join([f"t={at}", *(f"v1={part}" for part in parts)])
