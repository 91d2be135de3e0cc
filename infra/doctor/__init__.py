"""The doctor: looks at a hub and the machine it is on, and says what is wrong and how to mend it."""
