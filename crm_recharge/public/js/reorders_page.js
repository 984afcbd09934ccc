// The customer's page /reorders: works without this, and better with it.
(() => {
	const root = document.querySelector(".crm-reorders");
	// One tap is one order, also for a finger that taps twice.
	root.addEventListener("submit", (event) => {
		if (event.target.dataset.sent) return event.preventDefault();
		event.target.dataset.sent = 1;
		setTimeout(() => delete event.target.dataset.sent, 15000);
	});
	root.addEventListener("change", (event) => {
		if ("submits" in event.target.dataset) event.target.form.submit();
	});
})();
