"""The Chromium of these tests: found, or installed from Debian's packages by `python -m tests.browser.chromium`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
HELP = "install Chromium, or name its binary in ATTNSCOPE_CHROMIUM"


def find() -> str | None:
    """The binary that ATTNSCOPE_CHROMIUM names, or one on the path, or Playwright's own; None if there is none.

    Raises:
        FileNotFoundError: ATTNSCOPE_CHROMIUM names a file that does not exist.
    """
    named = os.environ.get("ATTNSCOPE_CHROMIUM")
    if named:
        binary = shutil.which(named)
        if binary is None:
            raise FileNotFoundError(f"ATTNSCOPE_CHROMIUM={named}: is no program")
        return binary
    on_path = next((path for path in map(shutil.which, _NAMES) if path), None)
    if on_path:
        return on_path
    return str(_MAC) if _MAC.exists() else _of_playwright()


def _of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> str | None:
    """Install Debian's package as root or through sudo; why not, in one line, or None if it is there now."""
    apt = shutil.which("apt-get")
    if apt is None:
        return "this system has no apt-get"
    sudo = []
    if os.getuid() != 0:
        sudo = ["sudo", "--non-interactive"]
        if not shutil.which("sudo") or subprocess.run([*sudo, "true"], capture_output=True).returncode:
            return "apt-get needs root, or sudo without a password"
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            [*sudo, *environment, apt, "-qq", "-o=Dpkg::Use-Pty=0", *command], stdin=subprocess.DEVNULL
        )
        if done.returncode:
            return f"apt-get {' '.join(command)} failed ({done.returncode})"
    return None if find() else "the package chromium brought no program of that name"


def main() -> int:
    """Exit code 0, except in CI without a browser: there its tests would fail one by one."""
    try:
        if find():
            return 0
    except FileNotFoundError as error:
        print(f"tests/browser: {error}", file=sys.stderr)
        return 2
    print("tests/browser: installing Chromium", flush=True)
    reason = install()
    if reason is None:
        return 0
    ci = os.environ.get("CI", "").lower() == "true"
    verb = "cannot run" if ci else "are skipped"
    print(f"tests/browser: the tests in a browser {verb}: no Chromium, and {reason}; {HELP}", file=sys.stderr)
    return 1 if ci else 0


if __name__ == "__main__":
    sys.exit(main())
