"""Quality as the 32-bit OPC UA StatusCode (OPC 10000-4 §7.38): the names we use, and what they mean to a reader."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

GOOD = 0x0000_0000
GOOD_LOCAL_OVERRIDE = 0x0096_0000
UNCERTAIN = 0x4000_0000
UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000
UNCERTAIN_SUBSTITUTE_VALUE = 0x4091_0000
UNCERTAIN_INITIAL_VALUE = 0x4092_0000
UNCERTAIN_SENSOR_NOT_ACCURATE = 0x4093_0000
UNCERTAIN_ENGINEERING_UNITS_EXCEEDED = 0x4094_0000
UNCERTAIN_SUB_NORMAL = 0x4095_0000
BAD = 0x8000_0000
BAD_UNEXPECTED_ERROR = 0x8001_0000
BAD_INTERNAL_ERROR = 0x8002_0000
BAD_COMMUNICATION_ERROR = 0x8005_0000
BAD_TIMEOUT = 0x800A_0000
BAD_SHUTDOWN = 0x800C_0000
BAD_NO_COMMUNICATION = 0x8031_0000
BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000
BAD_NODE_ID_UNKNOWN = 0x8034_0000
BAD_OUT_OF_RANGE = 0x803C_0000
BAD_NOT_SUPPORTED = 0x803D_0000
BAD_TYPE_MISMATCH = 0x8074_0000
BAD_CONFIGURATION_ERROR = 0x8089_0000
BAD_NOT_CONNECTED = 0x808A_0000
BAD_DEVICE_FAILURE = 0x808B_0000
BAD_SENSOR_FAILURE = 0x808C_0000
BAD_OUT_OF_SERVICE = 0x808D_0000
BAD_NO_DATA = 0x809B_0000
BAD_DATA_UNAVAILABLE = 0x809E_0000

# Info bits of a data value that is held at the low or the high end of its range (OPC 10000-4 Table 179).
LIMITED_LOW = 0x0000_0500
LIMITED_HIGH = 0x0000_0600

# A model outside the modes it is valid for: there is no value, and nothing is wrong.
NOT_APPLICABLE = BAD_OUT_OF_SERVICE

NAMES: dict[int, str] = {
    GOOD: "Good",
    GOOD_LOCAL_OVERRIDE: "GoodLocalOverride",
    UNCERTAIN: "Uncertain",
    UNCERTAIN_LAST_USABLE_VALUE: "UncertainLastUsableValue",
    UNCERTAIN_SUBSTITUTE_VALUE: "UncertainSubstituteValue",
    UNCERTAIN_INITIAL_VALUE: "UncertainInitialValue",
    UNCERTAIN_SENSOR_NOT_ACCURATE: "UncertainSensorNotAccurate",
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED: "UncertainEngineeringUnitsExceeded",
    UNCERTAIN_SUB_NORMAL: "UncertainSubNormal",
    BAD: "Bad",
    BAD_UNEXPECTED_ERROR: "BadUnexpectedError",
    BAD_INTERNAL_ERROR: "BadInternalError",
    BAD_COMMUNICATION_ERROR: "BadCommunicationError",
    BAD_TIMEOUT: "BadTimeout",
    BAD_SHUTDOWN: "BadShutdown",
    BAD_NO_COMMUNICATION: "BadNoCommunication",
    BAD_WAITING_FOR_INITIAL_DATA: "BadWaitingForInitialData",
    BAD_NODE_ID_UNKNOWN: "BadNodeIdUnknown",
    BAD_OUT_OF_RANGE: "BadOutOfRange",
    BAD_NOT_SUPPORTED: "BadNotSupported",
    BAD_TYPE_MISMATCH: "BadTypeMismatch",
    BAD_CONFIGURATION_ERROR: "BadConfigurationError",
    BAD_NOT_CONNECTED: "BadNotConnected",
    BAD_DEVICE_FAILURE: "BadDeviceFailure",
    BAD_SENSOR_FAILURE: "BadSensorFailure",
    BAD_OUT_OF_SERVICE: "BadOutOfService",
    BAD_NO_DATA: "BadNoData",
    BAD_DATA_UNAVAILABLE: "BadDataUnavailable",
}

# Why a model's value is absent, in words.
REASONS: dict[int, str] = {
    NOT_APPLICABLE: "not_applicable",
    BAD_WAITING_FOR_INITIAL_DATA: "settling",
    BAD_DATA_UNAVAILABLE: "inputs_missing",
    BAD_INTERNAL_ERROR: "model_failed",
}


def severity(status: int) -> int:
    """0 Good, 1 Uncertain, 2 (or 3, reserved) Bad."""
    return status >> 30


def is_good(status: int) -> bool:
    """Whether the severity bits say Good."""
    return status >> 30 == 0


def is_bad(status: int) -> bool:
    """Whether the severity bits say Bad (a value so marked is not to be used)."""
    return status >> 30 >= 2


def good_mask(status: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Where a column (u4[n]) is Good: bool[n]."""
    return np.asarray(status < UNCERTAIN, np.bool_)


def bad_mask(status: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Where a column (u4[n]) is Bad: bool[n]."""
    return np.asarray(status >= BAD, np.bool_)


def name(status: int) -> str:
    """The standard's name of a code, its sub-code bits ignored; the hexadecimal number where we have none."""
    return NAMES.get(status & 0xFFFF_0000, f"0x{status:08X}")
