"""The seam to HKD: requests, results and answers by subject."""
