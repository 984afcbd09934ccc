// What the parts of the customer's page /credits share: asking the server, amounts, words, dialogs.
(() => {
	const portal = {};
	window.crm_recharge = window.crm_recharge || {};
	window.crm_recharge.portal = portal;
	const byId = (portal.byId = (id) => document.getElementById(id));

	const sent = JSON.parse(byId("credits-data").textContent);
	frappe._messages = Object.assign(frappe._messages || {}, sent.words);
	/* What `overview` of api/portal.py tells of the account; null when there is none to show. */
	portal.data = sent.overview;

	// -- asking the server ---------------------------------------------------------------------------------

	class Refused extends Error {
		constructor(message, status, error) {
			super(message);
			Object.assign(this, { status, error });
		}
	}

	portal.call = async (method, args) => {
		let answer;
		try {
			answer = await fetch(`/api/method/crm_recharge.api.portal.${method}`, {
				method: "POST",
				headers: {
					Accept: "application/json",
					"Content-Type": "application/json",
					"X-Frappe-CSRF-Token": frappe.csrf_token,
				},
				body: JSON.stringify(args),
			});
		} catch {
			throw new Refused(__("The server did not answer. Check the connection and try again."), 0);
		}
		const body = await answer.json().catch(() => ({}));
		if (answer.ok) return body.message;
		if (is_over(answer.status, body))
			throw new Refused(
				__("You were logged out, or logged in anew, since this page was opened. Load it again."),
				answer.status,
			);
		throw new Refused(text_of(body, answer.status), answer.status, body.error);
	};

	// Frappe then tells of methods and tokens.
	const is_over = (status, body) =>
		body.session_expired ||
		body.exc_type === "CSRFTokenError" ||
		([401, 403].includes(status) && /(^|;\s*)user_id=Guest(;|$)/.test(document.cookie));

	// What the server says is HTML with escaped values; shown here is its text.
	function text_of(body, status) {
		let texts = [];
		try {
			texts = JSON.parse(body._server_messages || "[]").map((message) => JSON.parse(message).message);
		} catch {
			// An answer of something in between: its status has to do.
		}
		const plain = (html) => new DOMParser().parseFromString(html, "text/html").body.textContent;
		if (texts.length) return texts.map(plain).join(" ");
		return status === 429
			? __("Too many requests. Wait a while, then try again.")
			: __("The server could not do this ({0}). Try again in a minute.", [status]);
	}

	/* Run `work` once at a time; what fails is told in `place`. The button keeps the focus meanwhile. */
	portal.act = async (button, place, work) => {
		if (button.ariaDisabled === "true") return;
		button.ariaDisabled = "true";
		place.textContent = "";
		try {
			await work();
		} catch (error) {
			if (!(error instanceof Error)) throw error;
			place.textContent = error.message;
		} finally {
			button.ariaDisabled = "false";
		}
	};

	// -- words and amounts ---------------------------------------------------------------------------------

	portal.text = (value) => String(value ?? "").replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

	portal.note = (kind, html, role = "status") => `<div class="note ${kind}" role="${role}">${html}</div>`;

	const style = () => crm_recharge.amounts.style_of(portal.data.currency.format);

	/* What was typed: { digits } or { problem, readings }. */
	portal.read = (typed) => {
		const { symbol, name, decimals } = portal.data.currency;
		return crm_recharge.amounts.read(typed, style(), decimals, [symbol, name]);
	};

	/* Plain digits as the server writes amounts, with the currency's sign. */
	portal.money = (digits) => {
		const { symbol, on_right, decimals } = portal.data.currency;
		const written = crm_recharge.amounts.write(digits, style(), decimals);
		return (on_right ? [written, symbol] : [symbol, written]).filter(Boolean).join(" ");
	};

	/* Plain digits as they stand in a field. */
	portal.number = (digits) => crm_recharge.amounts.write(digits, style(), portal.data.currency.decimals);

	const COLOURS = {
		Succeeded: "green",
		Queued: "blue",
		Charging: "blue",
		Processing: "blue",
		"Action Required": "orange",
		Held: "orange",
		Failed: "red",
		Disputed: "red",
		"Charged Back": "red",
		Expired: "orange",
		"Permanently Declined": "red",
	};
	portal.badge = (status, shown, colour) =>
		`<span class="badge ${colour || COLOURS[status] || ""}">${portal.text(shown || __(status))}</span>`;

	portal.card_of = (attempt) => {
		const brand = attempt.brand || __("Card");
		return `${brand[0].toUpperCase()}${brand.slice(1)} •••• ${attempt.last4 || "????"}`;
	};

	portal.reasons = (attempts) => {
		const told = attempts.filter((attempt) => attempt.status !== "Succeeded" && attempt.reason);
		if (!told.length) return "";
		const { text, card_of } = portal;
		const items = told.map((attempt) => `<li>${text(card_of(attempt))}: ${text(attempt.reason)}</li>`);
		return `<ul class="mb-1 pl-4">${items.join("")}</ul>`;
	};

	// -- dialogs -------------------------------------------------------------------------------------------

	/* A dialog of the page: `open()` and `close()`. Closed, the focus is where it was before; where that has gone
	   meanwhile, it is on the page's heading. */
	portal.dialog = (id, { shown = () => {}, hidden = () => {} } = {}) => {
		const dialog = $(byId(id));
		let before = null;
		dialog.on("shown.bs.modal", shown);
		dialog.on("hidden.bs.modal", () => {
			hidden();
			portal.focus(before);
		});
		return {
			$: dialog,
			open() {
				before = document.activeElement;
				dialog.modal("show");
			},
			close: () => dialog.modal("hide"),
		};
	};

	portal.focus = (element) => {
		// What was drawn anew meanwhile is found by its id.
		const now = element?.isConnected ? element : element?.id && byId(element.id);
		const there = now && now !== document.body && !now.disabled && now.offsetParent !== null;
		(there ? now : byId("credits-title")).focus();
	};

	let ask_dialog = null;
	/* Ask a yes-or-no question. Resolves to whether the answer was `yes`. */
	portal.ask = (title, question, yes) =>
		new Promise((resolve) => {
			let answer = false;
			ask_dialog ||= portal.dialog("ask-dialog", {
				shown: () => byId("ask-no").focus(),
				hidden: () => ask_dialog.done(),
			});
			ask_dialog.done = () => resolve(answer);
			byId("ask-title").textContent = title;
			byId("ask-question").textContent = question;
			byId("ask-yes").textContent = yes;
			byId("ask-yes").onclick = () => {
				answer = true;
				ask_dialog.close();
			};
			ask_dialog.open();
		});

	// -- following a payment -------------------------------------------------------------------------------

	const WATCH_MS = 90 * 1000;

	/* The status of `recharge` once it has ended, or the last one known when that takes too long. */
	portal.ended = async (recharge, tell = () => {}, go_on = () => true) => {
		const until = Date.now() + WATCH_MS;
		const watch = crm_recharge.watch("Recharge", recharge);
		let found = null;
		while (go_on() && Date.now() < until) {
			found = await portal.call("status", { recharge }).catch(() => found);
			if (found?.ended) break;
			if (found) tell(found);
			await watch.next();
		}
		watch.stop();
		return found;
	};
})();
