"""Measurements that take minutes to hours, and the page of results; the app never imports it.

Its commands stand here; what they measure, by subject, in `hkd`, `flow` and `series`, over `tables`.
"""
