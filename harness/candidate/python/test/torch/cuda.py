import ctypes

made = 0  # ExternalStreams
stream = None  # the current one
driver = ctypes.CDLL("libcuda.so.1")


class ExternalStream:
    def __init__(self, handle):
        from . import Device

        global made
        made += 1
        self.handle, self.device = handle, Device("cuda", 0)


def set_stream(to):
    """What is on the stream has happened when this returns, as what runs here is not put on it."""
    global stream
    stream = to
    driver.cuStreamSynchronize(ctypes.c_void_p(to.handle))
