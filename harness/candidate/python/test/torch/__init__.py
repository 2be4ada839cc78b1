"""As much of PyTorch as the adapter uses, for tests on machines without a GPU: device memory that is this process's own."""

import ctypes

import numpy as np

from . import cuda


class DType:
    def __init__(self, name, storage):
        self.name, self.storage = name, np.dtype(storage)

    def __str__(self):
        return "torch." + self.name


int32, int64, float32 = DType("int32", "int32"), DType("int64", "int64"), DType("float32", "float32")
bfloat16, float16 = DType("bfloat16", "uint16"), DType("float16", "float16")
CODES = {(0, 32): int32, (0, 64): int64, (2, 32): float32, (4, 16): bfloat16, (2, 16): float16}


class Device:
    def __init__(self, kind, index):
        self.type, self.index = kind, index

    def __eq__(self, other):
        return (self.type, self.index) == (other.type, other.index)

    def __str__(self):
        return f"{self.type}:{self.index}"


class Tensor:
    def __init__(self, array, dtype, device):
        self.array, self.dtype, self.device = array, dtype, device

    @property
    def shape(self):
        return self.array.shape

    def stride(self):
        return tuple(s // self.array.itemsize for s in self.array.strides)

    def data_ptr(self):
        return self.array.__array_interface__["data"][0]

    def copy_(self, other):
        self.array[...] = other.array


class _Managed(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("dimensions", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    ]


_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_set_name = ctypes.pythonapi.PyCapsule_SetName
_set_name.argtypes = [ctypes.py_object, ctypes.c_char_p]
USED = b"used_dltensor"


def from_dlpack(capsule):
    address = _pointer_of(capsule, b"dltensor")
    managed = _Managed.from_address(address)
    _set_name(capsule, USED)
    assert (managed.dimensions, managed.lanes, managed.byte_offset) == (2, 1, 0)
    dtype = CODES[managed.code, managed.bits]
    shape, strides = managed.shape[:2], managed.strides[:2]
    size = dtype.storage.itemsize
    if 0 in shape:
        array = np.empty(shape, dtype.storage)
    else:
        extent = ((shape[0] - 1) * strides[0] + shape[1]) * size
        memory = np.frombuffer((ctypes.c_char * extent).from_address(managed.data), np.uint8)
        array = np.ndarray(shape, dtype.storage, memory, strides=[s * size for s in strides])
    device = Device({2: "cuda", 10: "rocm"}[managed.device_type], managed.device_id)
    managed.deleter(address)
    return Tensor(array, dtype, device)
