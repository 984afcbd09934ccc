"""What reports, cards and charts tell of reorders: sums made in the database, no row by row."""
