"""The private pages under their policy: all that is theirs runs, nothing that somebody wrote into them does."""

import frappe
import pytest

from crm_recharge.reorder.answers import links
from crm_recharge.reorder.answers.tests.reminded import make_message, make_reminder
from crm_recharge.tests import factories
from crm_recharge.tests.support.reorder_case import make_buyer, make_item

from .conftest import PASSWORD, required

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
RUNS = """() => new Promise((done) => {
	const refused = [];
	document.addEventListener("securitypolicyviolation", (event) => refused.push(event.violatedDirective));
	const inline = document.createElement("script");
	inline.textContent = "document.title = 'taken'";
	document.body.append(inline);
	document.body.insertAdjacentHTML("beforeend", `<img src="data:," onerror="document.title = 'taken'">`);
	const strange = document.createElement("script");
	strange.src = "https://scripts.example/evil.js";
	document.body.append(strange);
	setTimeout(() => done(refused.sort()), 500);
})"""


@pytest.fixture
def person(site):
	"""A customer of everything: an account with a card, an item bought again and again, a mail about it."""
	user = factories.make_user(user_type="Website User", new_password=PASSWORD)
	customer, contact = make_buyer()
	frappe.db.set_value("Customer", customer, "customer_name", HOSTILE)
	document = frappe.get_doc("Customer", customer)
	document.append("portal_users", {"user": user})
	document.save(ignore_permissions=True)
	frappe.db.set_value("Contact", contact, "user", user)
	item = make_item(item_name=HOSTILE)
	make_reminder(customer, item)
	message = make_message(customer, contact, [{"item_code": item}])
	account = factories.make_account(customer, account_owner=user)
	frappe.db.commit()
	return frappe._dict(user=user, customer=customer, message=message.name, account=account)


def pages_of(person) -> dict[str, str]:
	token = {action: links.token(person.message, action) for action in ("reorder", "later", "fewer", "stop")}
	return {
		"credits": f"/credits?account={person.account}",
		"reorders": "/reorders",
		"recharge-confirm": "/recharge-confirm?token=nothing",
		**{f"reorder {action}": f"/reorder?do={action}&token={token[action]}" for action in token},
	}


def test_the_pages_run_and_what_is_written_into_them_does_not(site, stripe, person, log_in):
	window = log_in(person.user)
	for name, path in pages_of(person).items():
		answer = window.page.goto(required("CRM_RECHARGE_URL") + path)
		assert answer.status in (200, 403), name
		window.page.wait_for_function("() => window.frappe && window.frappe.boot")
		window.page.wait_for_timeout(300)
		problems = [problem for problem in window.problems if "status of 403" not in problem]
		assert problems == [], name
		assert window.page.title() != "taken", name
		refused = window.page.evaluate(RUNS)
		assert window.page.title() != "taken", name
		assert len(refused) == 3 and all(rule.startswith("script-src") for rule in refused), (name, refused)
		window.problems.clear()


def test_another_site_cannot_frame_them(site, stripe, person, log_in):
	window = log_in(person.user)
	address = required("CRM_RECHARGE_URL")
	for name, path in pages_of(person).items():
		window.page.goto("about:blank")
		window.page.set_content(f'<iframe src="{address}{path}"></iframe>')
		window.page.wait_for_timeout(500)
		framed = [frame.url for frame in window.page.frames[1:]]
		assert all(not url.startswith(address) for url in framed), name
