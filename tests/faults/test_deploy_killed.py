"""kill -9 at each step of a deployment: the next start finds the old version or the new one, never half of one."""

import json
import subprocess
import sys

from live import ROOT


def test_killed_at_each_change_of_the_disk_it_is_the_old_or_the_new_version(tmp_path):
    command = [sys.executable, ROOT / "tests" / "faults" / "deploy_kills.py", "--folder", tmp_path / "gateway"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert found["kills"] > 30
    assert set(found["next_start_finds"]) == {"old", "new"}
    assert found["renamed_unsynced"] == []
    assert found["came_to_the_new_one"] == found["kills"] + 1
