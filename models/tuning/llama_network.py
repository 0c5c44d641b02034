"""A Llama-type language model out of a GGUF, as a graph that can be trained: tokens (batch x places) to logits.

Blocks of RMS normalisation, grouped-query attention with rotary positions, and SwiGLU; llama, qwen2 and qwen3. Every
tensor keeps the name that it has in the file. Matrices stand as (inputs, outputs), the other way round than in the
file, except the table of words.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.engine.llama.values import floats
from models.errors import ModelUntrainable
from models.gguf.header import Header, read_header
from models.tuning.graph import MICROSOFT, Array, Builder, Graph
from models.tuning.rotary import ROTARY, given

INPUT, OUTPUT = "tokens", "logits"
WORDS, HEAD = "token_embd.weight", "output.weight"
DEFAULT_PLACES = 128
# llama.cpp turns neighbours in a llama's heads, and halves in the others' (llama-model.cpp, llama_model_rope_type).
_NEIGHBOURS = {"llama": True, "qwen2": False, "qwen3": False}
_OPSET = 21
_FORBIDDEN = -1e9


def is_turned(name: str, value: Array) -> bool:
    """Whether a tensor of the file stands the other way round here."""
    return value.ndim == 2 and name != WORDS


def read(path: Path, places: int = DEFAULT_PLACES) -> Graph:
    """Raises WeightsUnreadable (KF391), EngineMissing (KF390) and, for what is no plain Llama-type model,
    ModelUntrainable (KF362)."""
    header = read_header(path)
    _require_plain(path, header, places)
    return _Network(path, header, places).graph


def _require_plain(path: Path, header: Header, places: int) -> None:
    def refuse(detail: str) -> ModelUntrainable:
        return ModelUntrainable(path=path, detail=detail)

    kind = header.architecture
    if kind not in _NEIGHBOURS:
        raise refuse(f"its architecture is {kind!r}; {', '.join(_NEIGHBOURS)} can be trained")
    if header.whole("expert_count"):
        raise refuse("it is a mixture of experts")
    if header.text(f"{kind}.rope.scaling.type", "none") not in ("none", ""):
        raise refuse("its rotary positions are scaled")
    if 0 < header.whole("attention.sliding_window") < places:
        raise refuse("its attention has a window narrower than a stretch of text")
    if not 2 <= places <= header.whole("context_length", places):
        raise refuse(f"stretches of {places} tokens do not fit its {header.whole('context_length')}")
    if WORDS not in header.tensors:
        raise refuse("it is a part of a model, without the table of words")


class _Network:
    def __init__(self, path: Path, header: Header, places: int) -> None:
        self._path, self._header, self._places = path, header, places
        self._heads = header.whole("attention.head_count")
        self._kv_heads = header.whole("attention.head_count_kv", self._heads)
        width = header.whole("embedding_length")
        self._head = header.whole("attention.key_length", width // self._heads)
        self._epsilon = self._real("attention.layer_norm_rms_epsilon", 1e-5)
        self.graph = Graph(outputs=[OUTPUT], opset=_OPSET)
        self._build = Builder(self.graph, "llama")
        self.graph.inputs[INPUT] = (("batch", places), np.dtype(np.int64))
        x = self._build.add("Gather", self._tensor(WORDS), INPUT, axis=0)
        for number in range(header.whole("block_count")):
            x = self._block(x, f"blk.{number}")
        x = self._norm(x, "output_norm.weight")
        if HEAD in header.tensors:
            self._build.add("MatMul", x, self._tensor(HEAD), out=OUTPUT)
        else:
            turned = self._build.add("Transpose", WORDS, perm=[1, 0])
            self._build.add("MatMul", x, turned, out=OUTPUT)

    def _tensor(self, name: str) -> str:
        if name not in self.graph.constants:
            tensor = self._header.tensors.get(name)
            if tensor is None:
                raise ModelUntrainable(path=self._path, detail=f"it has no tensor {name!r}")
            value = floats(self._path, tensor)
            self.graph.constants[name] = np.ascontiguousarray(value.T) if is_turned(name, value) else value
        return name

    def _real(self, key: str, default: float) -> float:
        field = self._header.fields.get(f"{self._header.architecture}.{key}")
        return float(field.value) if field is not None and isinstance(field.value, (int, float)) else default

    def _constant(self, value: Array) -> str:
        return self._build.constant(np.asarray(value, np.float32))

    def _linear(self, x: str, name: str) -> str:
        y = self._build.add("MatMul", x, self._tensor(f"{name}.weight"))
        bias = f"{name}.bias"
        return self._build.add("Add", y, self._tensor(bias)) if bias in self._header.tensors else y

    def _norm(self, x: str, name: str) -> str:
        build = self._build
        mean = build.add("ReduceMean", build.add("Mul", x, x), build.ints((-1,)), keepdims=1)
        root = build.add("Sqrt", build.add("Add", mean, self._constant(np.asarray(self._epsilon))))
        return build.add("Mul", build.add("Div", x, root), self._tensor(name))

    def _block(self, x: str, name: str) -> str:
        add = self._build.add
        x = add("Add", x, self._attention(self._norm(x, f"{name}.attn_norm.weight"), name))
        y = self._norm(x, f"{name}.ffn_norm.weight")
        gate = self._linear(y, f"{name}.ffn_gate")
        inner = add("Mul", add("Mul", gate, add("Sigmoid", gate)), self._linear(y, f"{name}.ffn_up"))
        return add("Add", x, self._linear(inner, f"{name}.ffn_down"))

    def _attention(self, x: str, name: str) -> str:
        """Grouped queries (Ainslie and others 2023, arXiv 2305.13245): each key serves heads / kv_heads queries."""
        build, groups = self._build, self._heads // self._kv_heads
        turn = _NEIGHBOURS[self._header.architecture]
        q, k, v = (self._linear(x, f"{name}.attn_{one}") for one in "qkv")
        q, k, v = self._apart(q, self._heads), self._apart(k, self._kv_heads), self._apart(v, self._kv_heads)
        if f"{name}.attn_q_norm.weight" in self._header.tensors:
            q, k = self._norm(q, f"{name}.attn_q_norm.weight"), self._norm(k, f"{name}.attn_k_norm.weight")
        q, k = self._rotated(q, turn=turn), self._rotated(k, turn=turn)
        k, v = self._repeated(k, groups), self._repeated(v, groups)
        scores = build.add("MatMul", q, build.add("Transpose", k, perm=[0, 1, 3, 2]))
        scores = build.add("Mul", scores, self._constant(np.asarray(self._head**-0.5)))
        later = np.triu(np.full((self._places, self._places), _FORBIDDEN), 1)
        shares = build.add("Softmax", build.add("Add", scores, self._constant(later)), axis=-1)
        together = build.add("Transpose", build.add("MatMul", shares, v), perm=[0, 2, 1, 3])
        shape = build.ints((0, self._places, self._heads * self._head))
        return self._linear(build.add("Reshape", together, shape), f"{name}.attn_output")

    def _apart(self, x: str, heads: int) -> str:
        """batch x heads x places x head."""
        shape = self._build.ints((0, self._places, heads, self._head))
        return self._build.add("Transpose", self._build.add("Reshape", x, shape), perm=[0, 2, 1, 3])

    def _repeated(self, x: str, groups: int) -> str:
        if groups == 1:
            return x
        build, kv, places, head = self._build, self._kv_heads, self._places, self._head
        x = build.add("Reshape", x, build.ints((0, kv, 1, places, head)))
        x = build.add("Expand", x, build.ints((1, kv, groups, places, head)))
        return build.add("Reshape", x, build.ints((0, kv * groups, places, head)))

    def _rotated(self, x: str, *, turn: bool) -> str:
        """Rotary positions (Su and others 2021, arXiv 2104.09864, section 3.4.2). turn: pairs are neighbours, else they
        stand half a head apart."""
        build, head = self._build, self._head
        rotated = self._header.whole("rope.dimension_count", head)
        if rotated != head:
            raise ModelUntrainable(path=self._path, detail="it rotates a part of each head alone")
        others = given(build, *self._angles())
        return build.add(ROTARY, x, *others, domain=MICROSOFT, interleaved=int(turn))

    def _angles(self) -> tuple[Array, Array]:
        """places x half a head."""
        speeds = self._real("rope.freq_base", 10_000.0) ** (-np.arange(0, self._head, 2) / self._head)
        if "rope_freqs.weight" in self._header.tensors:
            speeds = speeds / floats(self._path, self._header.tensors["rope_freqs.weight"])
        angles = np.outer(np.arange(self._places), speeds)
        return np.cos(angles), np.sin(angles)
