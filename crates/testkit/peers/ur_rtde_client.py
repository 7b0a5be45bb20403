"""ur-rtde (PyPI) as a client of a Universal Robots controller: receive, dashboard, io.

Usage: ur_rtde_client.py HOST PROGRAM
Plays PROGRAM, which needs no handshake, and prints one JSON object of what was
seen. The library knows no other RTDE port than 30004.
"""

import json
import math
import sys
import time

from dashboard_client import DashboardClient
from rtde_io import RTDEIOInterface
from rtde_receive import RTDEReceiveInterface

VARIABLES = [
    "timestamp", "actual_q", "actual_qd", "actual_TCP_pose", "actual_TCP_force",
    "robot_mode", "safety_mode", "runtime_state", "robot_status_bits",
    "safety_status_bits", "actual_digital_output_bits", "target_speed_fraction",
]


def wait(what, condition):
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up waiting for {what}")
        time.sleep(0.002)


def main():
    host, program = sys.argv[1], sys.argv[2]
    seen = {}

    dashboard = DashboardClient(host)
    dashboard.connect()
    seen["version"] = dashboard.polyscopeVersion()
    seen["remote"] = dashboard.isInRemoteControl()
    seen["mode"] = dashboard.robotmode()
    seen["safety"] = dashboard.safetystatus()
    try:
        dashboard.loadURP("absent.urp")
        seen["absent"] = "loaded"
    except Exception as error:  # the library raises RuntimeError with the reply
        seen["absent"] = str(error)
    dashboard.loadURP(program)
    seen["loaded"] = dashboard.getLoadedProgram()

    receive = RTDEReceiveInterface(host, 500.0, VARIABLES, False, False)
    io = RTDEIOInterface(host, False, True)
    stamps = []

    def sample():
        stamp = receive.getTimestamp()
        if not stamps or stamp != stamps[-1]:
            stamps.append(stamp)

    seen["q"] = receive.getActualQ()
    seen["pose"] = receive.getActualTCPPose()
    seen["robot_mode"] = receive.getRobotMode()
    seen["safety_status_bits"] = receive.getSafetyStatusBits()
    io.setStandardDigitalOut(3, True)
    wait("the digital output", lambda: receive.getDigitalOutState(3))
    io.setSpeedSlider(0.5)
    wait("the speed slider", lambda: receive.getTargetSpeedFraction() == 0.5)
    io.setSpeedSlider(1.0)

    seen["before"] = receive.getActualQ()
    dashboard.play()
    wait("motion", lambda: max(map(abs, receive.getActualQd())) > 0.1)
    seen["running"] = dashboard.running()
    seen["runtime"] = receive.getRuntimeState()

    def ended():
        sample()
        return receive.getRuntimeState() == 1

    wait("the end", ended)
    seen["after"] = receive.getActualQ()
    steps = [b - a for a, b in zip(stamps, stamps[1:])]
    seen["samples"] = len(stamps)
    seen["shortest_step"] = min(steps)
    seen["multiples"] = all(math.isclose(s / 0.002, round(s / 0.002), abs_tol=1e-3) for s in steps)
    seen["force"] = receive.getActualTCPForce()
    seen["program_state"] = dashboard.programState()
    receive.disconnect()
    io.disconnect()
    dashboard.disconnect()
    print(json.dumps(seen))


main()
