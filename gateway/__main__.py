"""The command `harmattan`; `python -m gateway` is the same."""

EXIT_INTERRUPTED = 130  # as shells say it of a program that Ctrl-C has ended


def main() -> None:
    """Run the command; Ctrl-C while it is still being loaded ends it without a traceback."""
    try:
        from gateway.cli import main as run  # noqa: PLC0415 - loading takes a second
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    run()


if __name__ == "__main__":
    main()
