// The page behind the links of a reminder, /reorder: works without this, and better with it.
(() => {
	const root = document.getElementById("crm-reorder");
	const { token, do: action, csrf } = root.dataset;

	// A person is here, not a scanner: told once, by POST.
	const tell = () => {
		["pointerdown", "keydown", "touchstart", "scroll"].forEach((e) => removeEventListener(e, tell));
		const body = new FormData();
		body.append("do", action);
		body.append("token", token);
		if (csrf) body.append("csrf_token", csrf);
		navigator.sendBeacon("/api/method/crm_recharge.api.reorder.looked_at", body);
	};
	["pointerdown", "keydown", "touchstart", "scroll"].forEach((e) =>
		addEventListener(e, tell, { passive: true }),
	);

	root.addEventListener("focusin", (event) => {
		const radio = event.target.dataset && event.target.dataset.chooses;
		if (radio) document.getElementById(radio).checked = true;
	});
	// One tap is one order, also for a finger that taps twice.
	root.addEventListener("submit", (event) => {
		if (event.target.dataset.sent) return event.preventDefault();
		event.target.dataset.sent = 1;
		setTimeout(() => delete event.target.dataset.sent, 15000);
	});

	const form = document.getElementById("basket-form");
	if (!form) return;
	let timer,
		asked = 0;
	const dress = () => {
		form.querySelectorAll("[data-step]").forEach((b) => (b.hidden = false));
		form.querySelectorAll("[data-recalculate]").forEach((b) => (b.hidden = true));
	};
	const recalculate = async () => {
		const number = ++asked,
			body = new FormData(form);
		body.set("act", "recalculate");
		const answer = await fetch("/reorder", { method: "POST", body, credentials: "same-origin" }).catch(
			() => null,
		);
		if (!answer || number !== asked) return;
		const page = new DOMParser().parseFromString(await answer.text(), "text/html");
		const fresh = page.getElementById("basket"),
			here = document.getElementById("basket");
		if (!fresh) return window.location.reload();
		if (number !== asked) return;
		const focus = document.activeElement && document.activeElement.name;
		here.replaceWith(fresh);
		dress();
		const again = focus && form.elements[focus];
		if (again && again.focus) again.focus();
	};
	form.addEventListener("click", (event) => {
		const button = event.target.closest("[data-step]");
		if (!button) return;
		const box = button.parentNode.querySelector("input");
		box.value = Math.max(0, (parseFloat(box.value) || 0) + Number(button.dataset.step));
		box.dispatchEvent(new Event("input", { bubbles: true }));
	});
	form.addEventListener("input", () => {
		clearTimeout(timer);
		timer = setTimeout(recalculate, 400);
	});
	dress();
})();
