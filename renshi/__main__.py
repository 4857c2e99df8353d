"""`python -m renshi` is the command `renshi`, and both begin here."""

import sys

__all__ = ["main"]


def main() -> None:
    """The console script. What ^C meets before the command has begun is the loading of it, a tenth of a second long."""
    try:
        from renshi.cli import main as command

        command()
    except KeyboardInterrupt:
        print("renshi: interrupted", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
