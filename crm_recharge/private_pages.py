"""Pages reached by a mailed link: their address is a secret, so nobody keeps it, finds it or passes it on."""

PAGES = ("reorder", "reorders", "recharge-confirm")
HEADERS = {
	"Cache-Control": "no-store, private",
	"Referrer-Policy": "no-referrer",
	"X-Robots-Tag": "noindex, nofollow, noarchive",
	# A form's button on these pages acts; nobody may lay something over it.
	"Content-Security-Policy": "frame-ancestors 'none'",
	"X-Frame-Options": "DENY",
}


def after_request(response, request) -> None:
	"""Put `HEADERS` on the answers of `PAGES`. Runs after every request, so it looks at the path alone."""
	if request.path.strip("/") in PAGES and response is not None:
		response.headers.update(HEADERS)
