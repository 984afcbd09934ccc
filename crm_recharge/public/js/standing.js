// How an account stands, in two words and a colour: the worst of what is true of it. For desk and portal alike.
(() => {
	/* `found`: status, balance (digits), switched_off (by a failure), held, paused, pending (a payment's status). */
	const standing = ({ status, balance, switched_off, held, paused, pending }) => {
		const told = [
			[status === "Disabled", __("Disabled"), "gray"],
			[status === "Disputed", __("Disputed"), "red"],
			[status === "On Hold", __("On Hold"), "orange"],
			[switched_off, __("Auto-Recharge Failed"), "red"],
			[held, __("Auto-Recharge on Hold"), "red"],
			[Number(balance) < 0, __("Below Zero"), "red"],
			[pending === "Action Required", __("Needs Confirmation"), "orange"],
			[pending === "Held", __("Payment Being Looked At"), "orange"],
			[paused, __("Auto-Recharge Paused"), "orange"],
			[pending, __("Recharging"), "blue"],
		].find(([is_so]) => is_so);
		return told ? { label: told[1], colour: told[2] } : { label: __("Active"), colour: "green" };
	};

	window.crm_recharge = window.crm_recharge || {};
	window.crm_recharge.standing = standing;
})();
