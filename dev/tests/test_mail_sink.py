"""The sink keeps mails as they were sent."""

import smtplib
import sys
import threading
from email.message import EmailMessage
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from mail_sink import MailSink, mails


def test_a_mail_arrives_whole(tmp_path):
	mail = EmailMessage()
	mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ada@example.com", "Grüße"
	mail["List-Unsubscribe"] = "<https://example.com/stop>"
	mail.set_content("First\n.\n..dots\nLast äöü\n")
	with MailSink(0, tmp_path / "mails") as sink:
		threading.Thread(target=sink.serve_forever, daemon=True).start()
		with smtplib.SMTP("127.0.0.1", sink.server_address[1]) as smtp:
			smtp.send_message(mail)
			smtp.send_message(mail, to_addrs=["eve@example.com", "ada@example.com"])
		sink.shutdown()
	first, second = mails(tmp_path / "mails")
	for kept in (first, second):
		assert (kept["Subject"], kept["List-Unsubscribe"]) == ("Grüße", "<https://example.com/stop>")
		assert kept.get_content().replace("\r\n", "\n") == "First\n.\n..dots\nLast äöü\n"
