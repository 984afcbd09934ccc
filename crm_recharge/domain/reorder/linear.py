"""Small dense linear algebra: what a regression with a handful of terms needs, without numpy."""


def solve(matrix: list[list[float]], right: list[float]) -> list[float]:
	"""Solve a symmetric positive definite system by Cholesky decomposition (Golub & Van Loan, 4.2).

	Raises:
		ArithmeticError: the matrix is not positive definite.
	"""
	n = len(right)
	lower = [[0.0] * n for _ in range(n)]
	for i in range(n):
		for j in range(i + 1):
			rest = matrix[i][j] - sum(lower[i][k] * lower[j][k] for k in range(j))
			if i != j:
				lower[i][j] = rest / lower[j][j]
			elif rest > 0:
				lower[i][i] = rest**0.5
			else:
				raise ArithmeticError("matrix is not positive definite")
	y = [0.0] * n
	for i in range(n):
		y[i] = (right[i] - sum(lower[i][k] * y[k] for k in range(i))) / lower[i][i]
	for i in reversed(range(n)):
		y[i] = (y[i] - sum(lower[k][i] * y[k] for k in range(i + 1, n))) / lower[i][i]
	return y


class Regression:
	"""Weighted ridge regression from running sums; the ridge is a normal prior on each coefficient.

	Args:
		expected: prior mean of each coefficient.
		precision: 1 / prior variance of each coefficient, in the unit of the rows' weights.
	"""

	def __init__(self, expected: list[float], precision: list[float]):
		n = len(expected)
		self.matrix = [[precision[i] if i == j else 0.0 for j in range(n)] for i in range(n)]
		self.right = [m * p for m, p in zip(expected, precision, strict=True)]

	def add(self, row: tuple[float, ...], y: float, weight: float) -> None:
		"""One observation."""
		for i, x in enumerate(row):
			if x:
				wx = weight * x
				self.right[i] += wx * y
				line = self.matrix[i]
				for j in range(i + 1):
					line[j] += wx * row[j]

	def coefficients(self) -> list[float]:
		"""The posterior mean."""
		n = len(self.right)
		full = [[self.matrix[max(i, j)][min(i, j)] for j in range(n)] for i in range(n)]
		return solve(full, self.right)
