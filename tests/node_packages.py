"""Packages of node-opcua for tests, installed by npm into a folder of their own; skips where that cannot be."""

import shutil
import subprocess

import pytest


def installed(folder, package):
    """The folder with the package in its node_modules."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("needs node and npm: sudo apt-get install nodejs npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", package]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry did not answer within 180 s")
    if done.returncode:
        pytest.skip(f"npm could not install {package}: {done.stderr.strip()[-200:]}")
    return folder
