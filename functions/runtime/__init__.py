"""Serves functions: decode, admit, call, encode. It is handed the routes and knows none of them."""
