"""Goal: what a person asks of a simulator's program is done, or refused in one sentence.

Method: the real programs in processes of their own.
"""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("kind", ["spectrometer", "scanner", "document", "scale"])
def test_a_link_takes_no_files_place(tmp_path, kind):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    done = subprocess.run(
        [sys.executable, "-m", f"simulators.{kind}", "--link", str(precious)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "is there and no link; name another path" in done.stderr
    assert "Traceback" not in done.stderr
    assert precious.read_text() == "kept"
