"""The addresses of the HTTP surface, by resource; each module adds its own to an app."""
