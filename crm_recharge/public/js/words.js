// What desk and portal say alike.
(() => {
	window.crm_recharge = window.crm_recharge || {};

	/* `one` for 1, else `many` with the number in place of {0}. Both are whole, translated texts. As domain/words.py. */
	window.crm_recharge.counted = (number, one, many) =>
		Number(number) === 1 ? one : many.replace("{0}", number);

	/* Text as a list's formatter returns it. Frappe 16 hands that to $(…), which takes bare text for a selector. */
	window.crm_recharge.listed = (text, css = "") =>
		`<span class="${css}">${frappe.utils.escape_html(String(text ?? ""))}</span>`;
})();
