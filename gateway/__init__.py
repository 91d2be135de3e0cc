"""HTTP: requests to subjects and back."""
