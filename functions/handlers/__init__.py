"""One module per capability; short async functions of one shape: (call, hub) -> reply."""
