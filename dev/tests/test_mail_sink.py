"""The sink keeps mails as they were sent."""

import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from mail_sink import MailSink


def test_a_mail_arrives_whole():
	mail = EmailMessage()
	mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ada@example.com", "Grüße"
	mail["List-Unsubscribe"] = "<https://example.com/stop>"
	mail.set_content("First\n.\n..dots\nLast äöü\n")
	with MailSink() as sink, smtplib.SMTP("127.0.0.1", sink.port) as smtp:
		smtp.send_message(mail)
		smtp.send_message(mail, to_addrs=["eve@example.com", "ada@example.com"])
	first, second = sink.mails
	for kept in (first, second):
		assert (kept["Subject"], kept["List-Unsubscribe"]) == ("Grüße", "<https://example.com/stop>")
		assert kept.get_content().replace("\r\n", "\n") == "First\n.\n..dots\nLast äöü\n"
