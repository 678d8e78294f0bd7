"""A quantised network in integers: the file that is stored, the thing that is run, and the definition of the right answer."""

from __future__ import annotations

import dataclasses
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardpoint.errors import InputError
from hardpoint.files import digest, load_npz, only_keys, save_npz
from hardpoint.fixed import Fixed
from hardpoint.layers import Add, AvgPool, Codes, Conv, Dense, Gemm, Layer, MaxPool, Rescale

__all__ = ["Criterion", "Network"]

KINDS: dict[str, type[Any]] = {
    "conv": Conv,
    "dense": Dense,
    "maxpool": MaxPool,
    "avgpool": AvgPool,
    "add": Add,
    "rescale": Rescale,
}
CODES = ("weight", "bias", "shift")  # stored as arrays of a convolution or dense layer
INPUT = "input"


@dataclass(frozen=True)
class Criterion:
    """When a changed output is critical: `top1` (the class changes), `tolerance` (a score moves by more than `bound`
    codes) or `threshold` (a score crosses `bound`).

    >>> c = Criterion("top1")
    >>> c.holds(np.array([[3, 9, 9]]), np.array([[3, 8, 9]])).tolist()  # lowest index of the maximum, everywhere
    [False]
    """

    kind: str = "top1"
    bound: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("top1", "tolerance", "threshold"):
            raise InputError(f"a criterion is top1, tolerance or threshold, not {self.kind!r}")
        if not np.isfinite(self.bound):
            raise InputError(f"a criterion's bound must be a finite number, not {self.bound}")

    def holds(self, golden: Codes, faulty: Codes) -> NDArray[np.bool_]:
        """Per image, whether `faulty` (images, outputs) is as good as `golden` for the network's purpose."""
        golden, faulty = golden.reshape(len(golden), -1), faulty.reshape(len(faulty), -1)
        if self.kind == "top1":
            return np.asarray(golden.argmax(axis=1) == faulty.argmax(axis=1))
        if self.kind == "tolerance":
            return np.asarray((np.abs(golden - faulty) <= self.bound).all(axis=1))
        return np.asarray(((golden > self.bound) == (faulty > self.bound)).all(axis=1))


@dataclass(frozen=True, eq=False)
class Network:
    """Integer layers in the order in which they run; calling it is the specification.

    `input_shape` is (height, width, channels) or (features,); `layers` name their inputs, the network's own input is
    called "input"; the last layer is the output. `important[l]` are the neurons m N + n of array layer l, rising, that a
    recompute unit computes again where the array has one. `output_order[i]` says which of the last layer's outputs is output i
    (it undoes a channel permutation). `q_scale` is the quantisation constraint that the network was trained for.

    >>> net = Network((2,), Fixed.parse("u4.0"), (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, Fixed.parse("s8.0"), Fixed.parse("s4.0")),))
    >>> net(np.array([[3, 4]])).tolist()
    [[11, 2]]
    """

    input_shape: tuple[int, ...]
    input_format: Fixed
    layers: tuple[Layer, ...]
    criterion: Criterion = Criterion()
    name: str = "network"
    q_scale: int = 0
    output_order: tuple[int, ...] | None = None
    important: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError("a network needs at least one layer")
        if not self.input_shape or any(size < 1 for size in self.input_shape):
            raise InputError(f"a network's input shape must hold positive sizes, not {self.input_shape}")
        known = {INPUT}
        for layer in self.layers:
            if layer.name in known:
                raise InputError(f"two layers are called {layer.name!r}")
            for name in layer.inputs:
                if name not in known:
                    raise InputError(f"layer {layer.name} reads {name!r}, which no layer before it yields")
            known.add(layer.name)
        outputs = int(np.prod(self.shapes[self.layers[-1].name]))
        if self.output_order is not None and sorted(self.output_order) != list(range(outputs)):
            raise InputError(f"output_order must be a permutation of the {outputs} outputs")
        if not self.important:
            object.__setattr__(self, "important", ((),) * len(self.gemms))
        if len(self.important) != len(self.gemms):
            raise InputError(
                f"important neurons are listed for each of the {len(self.gemms)} array layers, not for {len(self.important)}"
            )
        object.__setattr__(self, "important", tuple(map(self._neurons, range(len(self.gemms)), self.important)))
        for layer in self.gemms:
            fmt = self.formats[layer.inputs[0]]
            if fmt.bits > 16 or layer.weight_format.bits > 16:
                raise InputError(
                    f"layer {layer.name}: operands have at most 16 bits, not {fmt} and {layer.weight_format}"
                )
            short = int(layer.shift.min())
            if short < self.q_scale and layer is not self.gemms[-1]:
                raise InputError(
                    f"layer {layer.name} shifts by {short}, less than the network's q_scale of {self.q_scale}"
                )

    def _neurons(self, index: int, numbers: Iterable[int]) -> tuple[int, ...]:
        """Important neurons of array layer `index`, checked."""
        name, gemm = self.gemms[index].name, self.gemm(index)
        try:
            values = np.array([operator.index(number) for number in numbers], np.int64)
        except (TypeError, OverflowError):
            raise InputError(f"layer {name}: important neurons are whole numbers") from None
        most = min(gemm.m * gemm.n, 1 << 24)
        if len(values) and not 0 <= int(values.min()) <= int(values.max()) < most:
            bad = values[(values < 0) | (values >= most)][0]
            raise InputError(f"layer {name}: important neurons are numbered 0 to {most - 1}, not {bad}")
        if (np.diff(values) <= 0).any():
            raise InputError(
                f"layer {name}: important neurons must rise, neuron {values[1:][np.diff(values) <= 0][0]} does not"
            )
        return tuple(values.tolist())

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Output shape of every layer, and of "input"."""
        shapes: dict[str, tuple[int, ...]] = {INPUT: tuple(self.input_shape)}
        for layer in self.layers:
            shapes[layer.name] = layer.shape(*(shapes[name] for name in layer.inputs))
        return shapes

    @cached_property
    def formats(self) -> dict[str, Fixed]:
        """Number format of every layer's output, and of "input"."""
        formats = {INPUT: self.input_format}
        for layer in self.layers:
            formats[layer.name] = formats[layer.input] if isinstance(layer, MaxPool) else layer.out
        return formats

    @cached_property
    def gemms(self) -> tuple[Conv | Dense, ...]:
        """Layers that the array computes, in order; "layer l" in faults means `gemms[l]`."""
        return tuple(layer for layer in self.layers if isinstance(layer, (Conv, Dense)))

    def gemm(self, index: int) -> Gemm:
        """Sizes of array layer `index`."""
        layer = self.gemms[index]
        return layer.gemm(self.shapes[layer.input])

    @property
    def macs(self) -> int:
        """Multiply-accumulates per image."""
        return sum(self.gemm(i).macs for i in range(len(self.gemms)))

    @cached_property
    def digest(self) -> str:
        """Names the network by content."""
        header, arrays = self._stored()
        return digest(repr(sorted(header.items())), *(part for name in sorted(arrays) for part in (name, arrays[name])))

    def accumulator_bits(self, layer: Conv | Dense) -> int:
        """Bits of two's complement that no fault-free sum of `layer` can wrap, by the sums of |w| and its bias."""
        bound = int(
            (np.abs(layer.matrix()).sum(axis=0) * self.formats[layer.input].magnitude + np.abs(layer.bias)).max()
        )
        return bound.bit_length() + 1

    def __call__(self, x: Any) -> Codes:
        """Output codes (images, outputs) for input codes `x` (images, *input_shape)."""
        out = self.trace(x)[self.layers[-1].name]
        return self.ordered(out.reshape(len(out), -1))

    def ordered(self, outputs: Codes) -> Codes:
        """The last layer's outputs (images, outputs) in the order of the network's outputs."""
        return outputs if self.output_order is None else outputs[:, list(self.output_order)]

    def check_input(self, x: Any) -> Codes:
        """`x` as codes, or an InputError naming the first thing wrong with it."""
        x = np.asarray(x)
        if x.dtype.kind not in "iub":
            raise InputError(f"the network takes integer codes, not {x.dtype}; quantise with {self.input_format}")
        if x.ndim != len(self.input_shape) + 1 or x.shape[1:] != tuple(self.input_shape):
            raise InputError(f"the network takes images of shape {self.input_shape}, not {x.shape[1:]}")
        fmt = self.input_format
        if x.size and (x.min() < fmt.min or x.max() > fmt.max):
            bad = x.min() if x.min() < fmt.min else x.max()
            raise InputError(f"input codes must be {fmt.min} to {fmt.max} as {fmt}, not {bad}")
        return np.asarray(x, np.int64)

    def trace(self, x: Any) -> dict[str, Codes]:
        """Codes of every layer's output, by layer name, and the input's under "input"."""
        values = {INPUT: self.check_input(x)}
        for layer in self.layers:
            if isinstance(layer, Add):
                values[layer.name] = layer(*(values[name] for name in layer.inputs))
            else:
                values[layer.name] = layer(values[layer.input], self.formats[layer.input].magnitude)
        return values

    def with_important(self, important: Iterable[Iterable[int]]) -> Network:
        """The same network with these important neurons, in any order, per array layer.

        >>> u4, s4, s8 = (Fixed.parse(text) for text in ("u4.0", "s4.0", "s8.0"))
        >>> net = Network((2,), u4, (Dense("fc", "input", [[1, -1], [2, 1]], [0, 1], 0, s8, s4),))
        >>> net.with_important([[1, 0]]).important
        ((0, 1),)
        """
        return dataclasses.replace(self, important=tuple(tuple(sorted(numbers)) for numbers in important))

    def channels_of(self, name: str) -> str:
        """The convolution or dense layer, or the input, whose channels layer `name` has, in their order: itself, or what reaches
        it through depthwise layers and layers without weights."""
        layers = {layer.name: layer for layer in self.layers}
        while name != INPUT:
            layer = layers[name]
            if isinstance(layer, Dense) or (isinstance(layer, Conv) and not layer.depthwise):
                break
            name = layer.inputs[0]
        return name

    def addition(self, name: str) -> str | None:
        """The layer that adds the channels of layer `name` to others, None where they may come in any order."""
        additions = (layer for layer in self.layers if isinstance(layer, Add))
        return next((add.name for add in additions if name in map(self.channels_of, add.inputs)), None)

    def permuted(self, name: str, order: Sequence[int]) -> Network:
        """The same function with output channel j of layer `name` computed as channel `order[j]` was.

        Consumers' weights are permuted to match; for the last layer `output_order` restores the outputs. It brings
        important channels into hardened array columns at no hardware cost. Layers that feed an addition keep their order.
        """
        layers = {layer.name: layer for layer in self.layers}
        layer = layers.get(name)
        if not isinstance(layer, (Conv, Dense)) or (isinstance(layer, Conv) and layer.depthwise):
            raise InputError(
                f"only the channels of a convolution or dense layer can be permuted, not those of {name!r}"
            )
        perm = np.asarray(order, np.int64)
        if sorted(perm.tolist()) != list(range(layer.channels)):
            raise InputError(f"layer {name}: the order must be a permutation of its {layer.channels} channels")
        layers[name] = dataclasses.replace(
            layer, weight=layer.weight[..., perm], bias=layer.bias[perm], shift=layer.shift[perm]
        )
        if (addition := self.addition(name)) is not None:
            raise InputError(f"the channels of {name} cannot be permuted: {addition} adds them to others")
        permuted = {name}  # tensors whose channels now come in the new order
        for follower in self.layers:
            if not permuted.intersection(follower.inputs):
                continue
            if isinstance(follower, Conv):
                weight = follower.weight[:, :, perm]
                if follower.depthwise:
                    permuted.add(follower.name)
                    layers[follower.name] = dataclasses.replace(
                        follower, weight=weight, bias=follower.bias[perm], shift=follower.shift[perm]
                    )
                else:
                    layers[follower.name] = dataclasses.replace(follower, weight=weight)
            elif isinstance(follower, Dense):
                rows = follower.weight.reshape(-1, len(perm), follower.channels)[:, perm].reshape(follower.weight.shape)
                layers[follower.name] = dataclasses.replace(follower, weight=rows)
            else:
                permuted.add(follower.name)
        last = self.layers[-1].name
        restore = self.output_order
        if last in permuted:
            inverse = np.argsort(perm)
            shape = self.shapes[last]
            flat = (np.arange(int(np.prod(shape))).reshape(-1, len(perm))[:, inverse]).reshape(-1)
            restore = (
                tuple(int(i) for i in flat[list(self.output_order)])
                if self.output_order
                else tuple(int(i) for i in flat)
            )
        place, important = np.argsort(perm), list(self.important)  # channel j is now computed as channel place[j]
        for i, item in enumerate(self.gemms):
            if item.name in permuted:
                pixel, channel = np.divmod(np.array(important[i], np.int64), len(perm))
                important[i] = tuple(np.sort(pixel * len(perm) + place[channel]).tolist())
        return dataclasses.replace(
            self,
            layers=tuple(layers[x.name] for x in self.layers),
            output_order=restore,
            important=tuple(important),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a `.npz` without pickles."""
        save_npz(path, *self._stored())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """Read a network; anything else than what `save` writes is an InputError."""
        header, arrays = load_npz(path, "network")
        try:
            return cls._restored(header, arrays)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            raise InputError(f"{path} is no network: {error}") from None

    def _stored(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        arrays: dict[str, NDArray[Any]] = {}
        rows = []
        for i, layer in enumerate(self.layers):
            row: dict[str, Any] = {"kind": next(kind for kind, cls in KINDS.items() if type(layer) is cls)}
            for item in dataclasses.fields(layer):
                value = getattr(layer, item.name)
                if item.name in CODES and isinstance(layer, (Conv, Dense)):
                    arrays[f"{i}.{item.name}"] = _narrow(value)
                else:
                    row[item.name] = str(value) if isinstance(value, Fixed) else value
            rows.append(row)
            if isinstance(layer, (Conv, Dense)) and self.important[self.gemms.index(layer)]:
                arrays[f"{i}.important"] = np.array(self.important[self.gemms.index(layer)], np.int32)
        header = {
            "format": "hardpoint network 1",
            "name": self.name,
            "input_shape": list(self.input_shape),
            "input_format": str(self.input_format),
            "criterion": dataclasses.asdict(self.criterion),
            "q_scale": self.q_scale,
            "output_order": None if self.output_order is None else list(self.output_order),
            "layers": rows,
        }
        return header, arrays

    @classmethod
    def _restored(cls, header: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> Network:
        keys = {"format", "name", "input_shape", "input_format", "criterion", "q_scale", "output_order", "layers"}
        only_keys(header, keys, "network")
        if header.get("format") != "hardpoint network 1":
            raise InputError(f"its format is {header.get('format')!r}, not 'hardpoint network 1'")
        layers: list[Layer] = []
        important = []
        for i, row in enumerate(header["layers"]):
            kind = KINDS.get(row.get("kind", ""))
            if kind is None:
                raise InputError(f"layer {i} is of kind {row.get('kind')!r}; kinds are {', '.join(KINDS)}")
            names = {item.name: item for item in dataclasses.fields(kind)}
            fields = {
                key: value for key, value in only_keys(row, {*names, "kind"}, f"layer {i}").items() if key != "kind"
            }
            for key, value in fields.items():
                if key in ("out", "weight_format"):
                    fields[key] = Fixed.parse(value)
                elif isinstance(value, list):
                    fields[key] = tuple(value)
            if kind in (Conv, Dense):
                fields.update({key: arrays.pop(f"{i}.{key}") for key in CODES})
                important.append(arrays.pop(f"{i}.important", np.zeros(0, np.int32)))
            layers.append(kind(**fields))
        if arrays:
            raise InputError(f"it holds an array {min(arrays)!r} that no layer owns")
        order = header["output_order"]
        return cls(
            input_shape=_sizes(header["input_shape"]),
            input_format=Fixed.parse(header["input_format"]),
            layers=tuple(layers),
            criterion=Criterion(**header["criterion"]),
            name=str(header["name"]),
            q_scale=int(header["q_scale"]),
            output_order=None if order is None else _sizes(order),
            important=tuple(map(tuple, important)),
        )


def _sizes(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _narrow(codes: Codes) -> NDArray[Any]:
    """The same codes in the smallest signed type that holds them."""
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if codes.min() >= info.min and codes.max() <= info.max:
            return codes.astype(dtype)
    return codes
