"""`python -m nfcodec` is the command `nfcodec`."""

from nfcodec.cli import run

if __name__ == "__main__":
    run()
