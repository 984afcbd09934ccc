/* Stripe.js of the stand-in: enough of it to save a card and to pay, with plain inputs where Stripe has iframes.
 * Load it from the stand-in (/js.stripe.com/v3/ or /v3/) instead of https://js.stripe.com/v3/. */
(() => {
	const base = new URL(document.currentScript.src).origin;

	async function call(key, method, path, data) {
		const body = JSON.stringify({ key, ...data });
		const options = method === "GET" ? {} : { method, body, headers: { "Content-Type": "application/json" } };
		const query = method === "GET" ? "?" + new URLSearchParams({ key, ...data }) : "";
		try {
			return await (await fetch(base + path + query, options)).json();
		} catch (error) {
			return { error: { type: "api_connection_error", message: String(error) } };
		}
	}

	class Element {
		constructor(type) {
			this.type = type;
			this.handlers = {};
			this.box = document.createElement("div");
			this.inputs = {};
			for (const [name, label, width] of [
				["number", "Card number", 19],
				["expiry", "MM / YY", 7],
				["cvc", "CVC", 4],
			]) {
				const input = document.createElement("input");
				Object.assign(input, { name: `card-${name}`, placeholder: label, size: width, inputMode: "numeric" });
				input.setAttribute("aria-label", label);
				input.autocomplete = "off";
				input.addEventListener("input", () => this.emit("change", this.state()));
				input.addEventListener("focus", () => this.emit("focus", {}));
				input.addEventListener("blur", () => this.emit("blur", {}));
				this.inputs[name] = input;
				this.box.append(input, " ");
			}
		}
		mount(target) {
			const parent = typeof target === "string" ? document.querySelector(target) : target;
			if (!parent) throw new Error(`No element matches ${target}`);
			parent.replaceChildren(this.box);
			setTimeout(() => this.emit("ready", {}));
		}
		unmount() {
			this.box.remove();
		}
		destroy() {
			this.unmount();
		}
		clear() {
			Object.values(this.inputs).forEach((input) => (input.value = ""));
		}
		focus() {
			this.inputs.number.focus();
		}
		update() {}
		on(name, handler) {
			(this.handlers[name] ||= []).push(handler);
			return this;
		}
		emit(name, event) {
			(this.handlers[name] || []).forEach((handler) => handler(event));
		}
		card() {
			const [month, year] = this.inputs.expiry.value.split("/").map((part) => parseInt(part, 10));
			const number = this.inputs.number.value.replace(/\D/g, "");
			return {
				number,
				exp_month: month,
				exp_year: year < 100 ? 2000 + year : year,
				cvc: this.inputs.cvc.value,
			};
		}
		problem() {
			const { number, exp_month, exp_year, cvc } = this.card();
			if (number.length < 13) return ["incomplete_number", "Your card number is incomplete."];
			if (!(exp_month >= 1 && exp_month <= 12) || !exp_year)
				return ["incomplete_expiry", "Your card's expiration date is incomplete."];
			const now = new Date();
			if (exp_year < now.getFullYear() || (exp_year === now.getFullYear() && exp_month < now.getMonth() + 1))
				return ["invalid_expiry_year_past", "Your card's expiration year is in the past."];
			return cvc.length < 3 ? ["incomplete_cvc", "Your card's security code is incomplete."] : null;
		}
		state() {
			const problem = this.problem();
			const empty = Object.values(this.inputs).every((input) => !input.value);
			const error =
				problem && !problem[0].startsWith("incomplete")
					? { code: problem[0], message: problem[1] }
					: undefined;
			return { complete: !problem, empty, error, elementType: this.type };
		}
	}

	/* The bank's own question, as a dialog. Resolves to whether the card holder confirmed. */
	function ask() {
		return new Promise((resolve) => {
			const dialog = document.createElement("dialog");
			dialog.append("Your bank asks you to confirm. ");
			for (const [label, answer] of [
				["Complete authentication", true],
				["Fail authentication", false],
			]) {
				const button = document.createElement("button");
				button.type = "button";
				button.textContent = label;
				button.addEventListener("click", () => {
					dialog.remove();
					resolve(answer);
				});
				dialog.append(button, " ");
			}
			dialog.addEventListener("cancel", () => {
				dialog.remove();
				resolve(false);
			});
			document.body.append(dialog);
			dialog.showModal();
		});
	}

	window.Stripe = (key) => {
		if (!String(key).startsWith("pk_"))
			throw new Error("Stripe() needs a publishable key: it begins with pk_");
		const kinds = { pi: ["payment_intents", "paymentIntent"], seti: ["setup_intents", "setupIntent"] };

		function parse(secret) {
			const found = /^((pi|seti)_\w+?)_secret_/.exec(secret || "");
			if (!found) throw new Error("This is not a client secret");
			return { id: found[1], path: `/v1/${kinds[found[2]][0]}/${found[1]}`, name: kinds[found[2]][1] };
		}

		async function finish(secret, answer) {
			const { path, name } = parse(secret);
			if (answer.status === "requires_action") {
				const success = await ask();
				answer = await call(key, "POST", `${path}/_authenticate`, { client_secret: secret, success });
			}
			if (answer.error) return { error: answer.error };
			const failed = answer.last_payment_error || answer.last_setup_error;
			if (answer.status === "requires_payment_method" && failed) return { error: failed };
			return { [name]: answer };
		}

		/* `method` is an id, {card: Element, billing_details}, or nothing for the one the intent has. */
		async function confirm(secret, method) {
			const data = { client_secret: secret };
			if (typeof method === "string") data.payment_method = method;
			else if (method && method.card) {
				const card = method.card instanceof Element ? method.card : null;
				const problem = card && card.problem();
				if (problem) return { error: { type: "validation_error", code: problem[0], message: problem[1] } };
				data.payment_method_data = {
					type: "card",
					card: card ? card.card() : method.card,
					billing_details: method.billing_details || {},
				};
			}
			return finish(secret, await call(key, "POST", `${parse(secret).path}/confirm`, data));
		}

		async function confirmElements({ elements, clientSecret, confirmParams = {}, redirect }) {
			const secret = clientSecret || elements.clientSecret;
			const card = elements && elements.getElement();
			const result = await confirm(secret, card ? { card } : confirmParams.payment_method);
			if (!result.error && redirect !== "if_required" && confirmParams.return_url) {
				const { id, name } = parse(secret);
				const url = new URL(confirmParams.return_url, location.href);
				const word = name === "paymentIntent" ? "payment_intent" : "setup_intent";
				url.searchParams.set(word, id);
				url.searchParams.set(`${word}_client_secret`, secret);
				url.searchParams.set("redirect_status", "succeeded");
				location.assign(url);
			}
			return result;
		}

		async function retrieve(secret) {
			const { path, name } = parse(secret);
			const answer = await call(key, "GET", path, { client_secret: secret });
			return answer.error ? { error: answer.error } : { [name]: answer };
		}

		return {
			elements: (options = {}) => {
				let element = null;
				return {
					clientSecret: options.clientSecret,
					create: (type) => (element = new Element(type)),
					getElement: () => element,
					submit: async () => {
						const problem = element && element.problem();
						return problem
							? { error: { type: "validation_error", code: problem[0], message: problem[1] } }
							: {};
					},
					update() {},
					fetchUpdates: async () => ({}),
				};
			},
			confirmCardSetup: (secret, data = {}) => confirm(secret, data.payment_method),
			confirmCardPayment: (secret, data = {}) => confirm(secret, data.payment_method),
			confirmSetup: confirmElements,
			confirmPayment: confirmElements,
			handleNextAction: async ({ clientSecret }) => {
				const { path } = parse(clientSecret);
				return finish(clientSecret, await call(key, "GET", path, { client_secret: clientSecret }));
			},
			handleCardAction: async (secret) =>
				finish(secret, await call(key, "GET", parse(secret).path, { client_secret: secret })),
			retrievePaymentIntent: retrieve,
			retrieveSetupIntent: retrieve,
			createPaymentMethod: async ({ card, elements, billing_details = {} }) => {
				const element = card instanceof Element ? card : elements && elements.getElement();
				const data = { type: "card", card: element ? element.card() : card, billing_details };
				const answer = await call(key, "POST", "/v1/payment_methods", data);
				return answer.error ? { error: answer.error } : { paymentMethod: answer };
			},
		};
	};
	window.Stripe.version = 3;
})();
