"""What a document of ours is not: everything that would change amounts, accounts, or what is done with them."""

_INVOICE = {
	**dict.fromkeys(
		(
			"is_pos",
			"is_debit_note",
			"is_consolidated",
			"is_internal_customer",
			"update_stock",
			"additional_discount_percentage",
			"discount_amount",
			"base_discount_amount",
			"is_cash_or_non_trade_discount",
			"write_off_amount",
			"base_write_off_amount",
			"write_off_outstanding_amount_automatically",
			"redeem_loyalty_points",
			"loyalty_points",
			"loyalty_amount",
			"allocate_advances_automatically",
			"only_include_allocated_payments",
			"use_company_roundoff_cost_center",
			"commission_rate",
			"total_commission",
			"apply_tds",
		),
		0,
	),
	**dict.fromkeys(
		(
			"pos_profile",
			"represents_company",
			"inter_company_invoice_reference",
			"unrealized_profit_loss_account",
			"additional_discount_account",
			"coupon_code",
			"write_off_account",
			"write_off_cost_center",
			"cash_bank_account",
			"account_for_change_amount",
			"loyalty_program",
			"loyalty_redemption_account",
			"payment_terms_template",
			"tax_category",
			"shipping_rule",
			"sales_partner",
			"project",
			"subscription",
			"auto_repeat",
		)
	),
	"is_opening": "No",
	"status": "Draft",
	"apply_discount_on": "Grand Total",
	"ignore_pricing_rule": 1,
	"ignore_default_payment_terms_template": 1,
	"disable_rounded_total": 1,
	"dont_create_loyalty_points": 1,
}
_ITEM = {
	**dict.fromkeys(
		(
			"discount_percentage",
			"discount_amount",
			"distributed_discount_amount",
			"margin_rate_or_amount",
			"is_free_item",
			"enable_deferred_revenue",
			"is_fixed_asset",
			"grant_commission",
			"delivered_by_supplier",
			"apply_tds",
		),
		0,
	),
	**dict.fromkeys(
		(
			"margin_type",
			"pricing_rules",
			"item_tax_template",
			"deferred_revenue_account",
			"service_start_date",
			"service_end_date",
			"discount_account",
			"finance_book",
			"asset",
			"project",
		)
	),
	"item_tax_rate": "{}",
}
_PAYMENT = {
	**dict.fromkeys(("apply_tax_withholding_amount", "book_advance_payments_in_separate_party_account"), 0),
	**dict.fromkeys(
		("project", "bank_account", "party_bank_account", "sales_taxes_and_charges_template", "auto_repeat")
	),
	"is_opening": "No",
	"status": "Draft",
}
_JOURNAL = {
	**dict.fromkeys(("apply_tds", "is_system_generated"), 0),
	**dict.fromkeys(
		("finance_book", "inter_company_journal_entry_reference", "mode_of_payment", "auto_repeat")
	),
	"voucher_type": "Journal Entry",
	"is_opening": "No",
}
NEUTRAL = {
	"Sales Invoice": _INVOICE,
	"Sales Invoice Item": _ITEM,
	"Sales Taxes and Charges": {"dont_recompute_tax": 0, "project": None},
	"Payment Entry": _PAYMENT,
	"Journal Entry": _JOURNAL,
	"Journal Entry Account": {"project": None, "party_type": None, "party": None},
}
EMPTY = {
	"Sales Invoice": ("advances", "payments", "timesheets", "sales_team", "packed_items", "pricing_rules"),
	"Payment Entry": ("taxes", "deductions"),
	"Journal Entry": (),
}
