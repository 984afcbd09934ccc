"""Run the gateway's tests against other releases of Stripe's SDK than the one installed.

pip install --target /tmp/stripe-10 'stripe==10.12.*'
CRM_RECHARGE_STRIPE_SDKS=/tmp/stripe-10 python -m unittest crm_recharge.gateway.tests.test_sdk_ends
"""

import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = [each for each in os.environ.get("CRM_RECHARGE_STRIPE_SDKS", "").split(os.pathsep) if each]


@unittest.skipUnless(FOLDERS, "CRM_RECHARGE_STRIPE_SDKS names no folder: only the installed SDK was tried")
class TestSdkEnds(unittest.TestCase):
	def test_each_release(self):
		for folder in FOLDERS:
			with self.subTest(folder=folder):
				environment = os.environ | {"PYTHONPATH": os.pathsep.join((folder, str(ROOT)))}
				where = self.run_python(
					environment, "-c", "import stripe; print(stripe.__file__, stripe.VERSION)"
				)
				self.assertTrue(where.stdout.startswith(folder), where.stdout + where.stderr)
				result = self.run_python(
					environment, "-m", "unittest", "-q", "crm_recharge.gateway.tests.test_stripe_gateway"
				)
				self.assertEqual(result.returncode, 0, f"{where.stdout}\n{result.stderr[-4000:]}")

	def run_python(self, environment, *arguments):
		return subprocess.run(
			[sys.executable, *arguments],
			env=environment,
			cwd=ROOT,
			capture_output=True,
			text=True,
			timeout=300,
		)
