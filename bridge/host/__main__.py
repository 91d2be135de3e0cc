"""``python -m bridge.host``."""

from bridge.host.app import main

if __name__ == "__main__":
    main()
