"""Measurements that take minutes to hours, and the page of results; the app never imports it."""
