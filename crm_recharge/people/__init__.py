"""Who belongs to a customer: the people who speak for it, and the contacts and addresses that count as its own."""
