"""What `edgetwin run` loads: a gateway that only polls Modbus and publishes over MQTT pays for nothing else."""

import subprocess
import sys

MADE_OF = (
    "agent.cli.daemon agent.config.load agent.config.plan agent.app agent.drivers.modbus.polling agent.drivers.self"
)
MADE_OF += " agent.sinks.feed.server agent.sinks.mqtt.session"
COSTLY = {"asyncua", "onnxruntime", "scipy", "onnx", "rich", "cryptography", "agent.fit", "pytest"}


def test_a_daemon_for_modbus_and_mqtt_loads_no_library_of_another_protocol_or_of_the_models():
    code = f"import sys, {', '.join(MADE_OF.split())}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert COSTLY & {*done.stdout.split()} == set()
