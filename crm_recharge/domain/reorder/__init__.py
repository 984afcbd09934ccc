"""When a customer will buy an item again: sufficient statistics, the nightly fit, forecasts, calibration."""

from .calibration import Resolved, calibrate
from .fitting import fit
from .forecast import Forecast, NoBasisError, predict
from .priors import Calibration, Priors, PriorsError
from .purchases import PairState, PurchaseError, amend, net_purchases, update

__all__ = [
	"Calibration",
	"Forecast",
	"NoBasisError",
	"PairState",
	"Priors",
	"PriorsError",
	"PurchaseError",
	"Resolved",
	"amend",
	"calibrate",
	"fit",
	"net_purchases",
	"predict",
	"update",
]
