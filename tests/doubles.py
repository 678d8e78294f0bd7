"""Devices that misbehave: each wraps a good one and does one thing wrong, when told to."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardpoint.host.device import Buffer, Device, DeviceError, Timeout
from hardpoint.registers import CONTROL, DONE, IDLE, START, offsets

AT = offsets()


class Double:
    """A good device, counting its starts; subclasses misbehave in the starts `bad` (from 1 on)."""

    def __init__(self, device: Device, *bad: int) -> None:
        self.device, self.bad, self.starts, self.resets = device, set(bad), 0, ""
        self.name = type(self).__name__

    @property
    def now(self) -> bool:
        """Whether the current start is a bad one."""
        return self.starts in self.bad

    def read(self, offset: int) -> int:
        return self.device.read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset == CONTROL and value & START:
            self.starts += 1
            self.start()
        else:
            self.device.write(offset, value)

    def start(self) -> None:
        self.device.write(CONTROL, START)

    def allocate(self, size: int) -> Buffer:
        return self.device.allocate(size)

    def wait(self, timeout_s: float) -> None:
        control = self.read(CONTROL)
        if not control & DONE:
            raise Timeout(f"{self.name}: no done within {timeout_s:g} s: control is {control:#x}")

    def reset(self, hard: bool = False) -> None:
        self.resets += "reload " if hard else "reset "
        self.device.reset(hard)

    def sensors(self) -> dict[str, Any]:
        return self.device.sensors()

    def close(self) -> None:
        self.device.close()


class Hangs(Double):
    """Stops after `finished` images of a bad batch, until it is reset; one that is `stubborn` needs a reload, one that
    is `dead` cannot be helped."""

    finished, stubborn, dead, hung = 2, False, False, False

    def start(self) -> None:
        if self.now:
            count = self.device.read(AT["images"])
            self.device.write(AT["images"], min(self.finished, count))
            self.hung = True
        super().start()

    def read(self, offset: int) -> int:
        return 0 if self.hung and offset == CONTROL else super().read(offset)

    def reset(self, hard: bool = False) -> None:
        super().reset(hard)
        self.hung = self.hung and (self.dead or (self.stubborn and not hard))


class Stubborn(Hangs):
    stubborn = True


class Dead(Hangs):
    dead = True


class ResetsInMidBatch(Double):
    """Falls back to its state after power-up in a bad batch, as after a brown-out."""

    def start(self) -> None:
        if self.now:
            self.device.write(AT["images"], 1)
            super().start()
            self.device.reset()
        else:
            super().start()


class DropsCompletion(Double):
    """Finishes, but nobody sees it: the done bit of a bad batch is lost."""

    def read(self, offset: int) -> int:
        value = super().read(offset)
        return value & ~DONE if self.now and offset == CONTROL else value

    def reset(self, hard: bool = False) -> None:
        super().reset(hard)
        self.bad.discard(self.starts)


class SaysDoneTooEarly(Double):
    """Says done in a bad batch before it has done anything; the batch runs when it is next asked."""

    late = False

    def start(self) -> None:
        self.late = self.now
        if not self.late:
            super().start()

    def read(self, offset: int) -> int:
        return IDLE | DONE if self.late and offset == CONTROL else super().read(offset)

    def reset(self, hard: bool = False) -> None:
        super().reset(hard)
        self.late = False


class AnswersLate(Double):
    """Finishes a bad batch only after the host gave up; its done bit is there when the next batch starts."""

    def wait(self, timeout_s: float) -> None:
        if self.now:
            raise Timeout(f"{self.name}: no done within {timeout_s:g} s")
        super().wait(timeout_s)


class _Buffered(Double):
    """Can reach the buffers that it gave away, newest last."""

    def __init__(self, device: Device, *bad: int) -> None:
        super().__init__(device, *bad)
        self.buffers: list[Buffer] = []

    def allocate(self, size: int) -> Buffer:
        self.buffers.append(super().allocate(size))
        return self.buffers[-1]

    def spoil(self, name: str, byte: int, value: int) -> None:
        """Write a byte into the device's memory behind a pointer register."""
        address = self.device.read(AT[name]) | self.device.read(AT[name] + 4) << 32
        buffer = next(buffer for buffer in self.buffers if buffer.address == address)
        kept = buffer.data.copy()
        buffer.invalidate()
        buffer.data[byte] = value
        buffer.flush()
        buffer.data[:] = kept


class GarbledRecords(_Buffered):
    """Writes another image's tag into the second record of a bad batch."""

    def start(self) -> None:
        super().start()
        if self.now:
            words = 2 + 3  # of a record of the contract's array
            self.spoil("records", 8 * words, 0x77)


class CorruptsWeights(_Buffered):
    """Hangs in a bad batch, and has overwritten weights when it comes back."""

    hung = False

    def start(self) -> None:
        if self.now:
            self.spoil("weights", 64, 0x55)
            self.hung = True
        else:
            super().start()

    def read(self, offset: int) -> int:
        return 0 if self.hung and offset == CONTROL else super().read(offset)

    def reset(self, hard: bool = False) -> None:
        super().reset(hard)
        self.hung = False


class ForgetsWhatItWasTold(Double):
    """A register does not take what is written to it: batches have no images."""

    def write(self, offset: int, value: int) -> None:
        super().write(offset, 0 if offset == AT["images"] else value)


class GoesAway(Double):
    """The bus answers ones from a bad start on."""

    def read(self, offset: int) -> int:
        return 0xFFFFFFFF if self.starts >= min(self.bad) else super().read(offset)


class LiesAfterReset(_Buffered):
    """Hangs once and computes wrongly ever after."""

    hung = broken = False

    def start(self) -> None:
        super().start()
        self.hung |= self.now
        if self.broken:
            self.spoil("result", 0, 0x13)

    def read(self, offset: int) -> int:
        return 0 if self.hung and offset == CONTROL else super().read(offset)

    def reset(self, hard: bool = False) -> None:
        super().reset(hard)
        self.broken, self.hung = self.hung or self.broken, False


class RefusesAccess(Double):
    """Cannot be talked to in a bad batch: the bus reports an error."""

    def read(self, offset: int) -> int:
        if self.now:
            raise DeviceError(f"{self.name}: bus error at {offset:#x}")
        return super().read(offset)

    def reset(self, hard: bool = False) -> None:
        super().reset(hard)
        self.bad.discard(self.starts)


class _Wrapped:
    """A buffer that does one thing wrong."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer, self.address, self.data = buffer, buffer.address, buffer.data

    def flush(self) -> None:
        self.buffer.flush()

    def invalidate(self) -> None:
        self.buffer.invalidate()

    def free(self) -> None:
        self.buffer.free()


class _NeverFlushed(_Wrapped):
    def flush(self) -> None:
        pass


class _NeverInvalidated(_Wrapped):
    def invalidate(self) -> None:
        pass


class NeverFlushes(Double):
    """What the host writes stays in its cache."""

    def allocate(self, size: int) -> Buffer:
        return _NeverFlushed(super().allocate(size))


class NeverInvalidates(Double):
    """What the host reads is what its cache held."""

    def allocate(self, size: int) -> Buffer:
        return _NeverInvalidated(super().allocate(size))


class ShortBuffers(Double):
    """Gives fewer bytes than it was asked for."""

    def allocate(self, size: int) -> Buffer:
        buffer = super().allocate(size)
        buffer.data = buffer.data[: size // 2]
        return buffer


class OverlappingBuffers(Double):
    """Gives the same memory twice."""

    def allocate(self, size: int) -> Buffer:
        if not hasattr(self, "first"):
            self.first = super().allocate(1 << 20)
        copy = _Wrapped(self.first)
        copy.data = np.frombuffer(self.first.data.data, np.uint8)[:size]
        return copy


class LittleMemory(Double):
    """Has memory for few images."""

    most = 16 * 4096

    def allocate(self, size: int) -> Buffer:
        used = getattr(self, "used", 0) + -(-size // 4096) * 4096
        if used > self.most:
            raise DeviceError(f"no {size} bytes of memory")
        self.used = used
        buffer = super().allocate(size)
        free = buffer.free

        def release() -> None:
            self.used -= -(-size // 4096) * 4096
            free()

        buffer.free = release  # type: ignore[method-assign]
        return buffer
