// After a dialog of the desk the focus is where it was before: Frappe leaves it nowhere. On this app's pages alone.
(() => {
	window.crm_recharge = window.crm_recharge || {};
	if (window.crm_recharge.focus_returns) return;
	window.crm_recharge.focus_returns = true;

	const OURS = ["Credits", "Gateway", "Recharge", "Accounting", "Reorder"];
	const of_ours = () => OURS.includes(frappe.get_meta(frappe.get_route()[1])?.module);
	const shown = (element) => element?.isConnected && element.checkVisibility() && !element.disabled;
	const words = (element) => element?.textContent.trim();

	/* The element; for a line of a menu the menu's button; for a button that was drawn anew the one that reads the same. */
	function there_now(element) {
		if (shown(element)) return element;
		const menu = element?.closest(".inner-group-button, .btn-group, .dropdown")?.querySelector("button");
		if (shown(menu)) return menu;
		return [...document.querySelectorAll(".page-head button")].find(
			(button) => shown(button) && [words(element), words(menu)].filter(Boolean).includes(words(button)),
		);
	}

	// Frappe puts a dialog into the page after it is asked to show, so what had the focus before is noted all along.
	let last = null;
	document.addEventListener("focusin", ({ target }) => {
		if (!target.closest(".modal")) last = target;
	});
	$(document).on("shown.bs.modal", ".modal", (event) => {
		if (of_ours()) $(event.target).data("crm_recharge_before", last);
	});
	$(document).on("hidden.bs.modal", ".modal", (event) => {
		const before = $(event.target).data("crm_recharge_before");
		const now = document.activeElement;
		const elsewhere = now && now !== document.body && !event.target.contains(now) && shown(now);
		if (before && !elsewhere) there_now(before)?.focus();
	});
})();
