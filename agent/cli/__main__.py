"""`python -m agent.cli` is `edgetwin`."""

from agent.cli import main

if __name__ == "__main__":
    main()
