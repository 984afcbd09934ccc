// Amounts as people write and type them, for desk and portal alike. The same as domain/shown.py and amounts.py, on the same cases
// (domain/tests/amounts.json); digits are moved about as text, never counted with.
(() => {
	const LONGEST = 60;

	const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

	/* How numbers of a format such as "#,###.##" are written: mark between thousands, decimal point, 5,00,000 or not. */
	function style_of(format) {
		const between = format.match(/[^#]+/g) || [];
		const digits = format.match(/#+/g) || [];
		const last = digits[digits.length - 1] || "";
		if (!between.length) return { group: "", decimal: ".", by_two: false };
		const by_two = digits.slice(1, -1).some((run) => run.length === 2);
		if (between.length === 1 && last.length !== 3) return { group: "", decimal: between[0], by_two: false };
		if (new Set(between).size > 1) return { group: between[0], decimal: between[between.length - 1], by_two };
		// Groups alone. Where the point or a space parts them, a comma goes before decimals.
		return { group: between[0], decimal: [".", ""].includes(between[0].trim()) ? "," : ".", by_two };
	}

	/* Plain digits as they are written in `style`, with at least `places` decimals and all that there are. */
	function write(digits, style, places) {
		const [, sign, all, part = ""] = /^(-?)0*(\d+)(?:\.(\d*))?$/.exec(String(digits));
		let whole = all;
		const decimals = part.replace(/0+$/, "").padEnd(places, "0");
		const parts = [];
		for (let size = 3; whole.length > size; size = style.by_two ? 2 : 3) {
			parts.unshift(whole.slice(-size));
			whole = whole.slice(0, -size);
		}
		let written = [whole, ...parts].join(style.group) + (decimals ? style.decimal + decimals : "");
		if (may_be_thousands(written, style, places)) written += "0";
		return sign && /[1-9]/.test(all + part) ? `-${written}` : written;
	}

	/* What a person typed: { digits }, or { problem: "amount_missing" | "amount_unclear" | "not_a_number" | "too_many_decimals",
	   readings }, where `readings` are the ways to write what may be meant. */
	function read(text, style, places, signs = []) {
		const typed = bare(String(text ?? ""), signs);
		if (!String(text ?? "").trim()) return { problem: "amount_missing" };
		if (typed.length > LONGEST) return { problem: "not_a_number" };
		const own = digits_of(typed, style);
		if (own !== null && !may_be_thousands(typed, style, places)) return { digits: own };
		const others = [style_of("#,###.##"), style_of("#.###,##"), style_of("#,##,###.##"), style];
		const found = others.map((other) => digits_of(typed, other)).filter((digits) => digits !== null);
		if (!found.length) return { problem: "not_a_number" };
		const readings = new Set(found.sort((a, b) => a - b).map((digits) => write(digits, style, places)));
		return { problem: "amount_unclear", readings: [...readings] };
	}

	function bare(text, signs) {
		let typed = text
			.replace(/[\u00a0\u2007\u2009\u202f]/g, " ")
			.replace(/[\u2018\u2019\u02bc]/g, "'")
			.replace(/[\u2212\u2013]/g, "-")
			.trim();
		for (const sign of signs.filter(Boolean)) {
			if (typed.startsWith(sign)) typed = typed.slice(sign.length).trim();
			else if (typed.endsWith(sign)) typed = typed.slice(0, -sign.length).trim();
		}
		return typed;
	}

	function digits_of(typed, style) {
		const marks = ".,' ".replace(style.decimal, "");
		const found = new RegExp(`^(-?)([0-9][0-9${marks}]*)?(?:${escape(style.decimal)}([0-9]+))?$`).exec(typed);
		if (!found || !(found[2] || found[3])) return null;
		let whole = found[2] || "0";
		if (!/^[0-9]+$/.test(whole)) {
			const groups = [style.group || " ", style.group.trim() || " ", " ", "'"];
			const mark = groups.find((group) => is_grouped(whole, group, style.by_two));
			if (mark === undefined) return null;
			whole = whole.replaceAll(mark, "");
		}
		return found[1] + whole + (found[3] ? `.${found[3]}` : "");
	}

	function is_grouped(whole, group, by_two) {
		const mark = escape(group);
		return new RegExp(`^[0-9]{1,3}(?:${mark}[0-9]{${by_two ? "2,3" : "3"}})*${mark}[0-9]{3}$`).test(whole);
	}

	/* 5.000 where the point is the decimal point of a currency with two decimals, or 5,000 of one with three. */
	function may_be_thousands(typed, style, places) {
		const found = /^-?[1-9][0-9]{0,2}([.,])[0-9]{3}$/.exec(typed);
		return Boolean(found) && (found[1] === style.decimal) === (places !== 3);
	}

	window.crm_recharge = window.crm_recharge || {};
	window.crm_recharge.amounts = { style_of, write, read };
})();
