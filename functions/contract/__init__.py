"""What crosses a process border: subjects, headers, messages and the fault catalogue."""
