"""One measurement of a peer in a process and an environment of its own, beside the plain forward. Prints JSON.

Every peer gets the model and the inputs that attnscope had, reads the attention of all layers, heads and queries, and
is compared with one forward pass of the same model under sdpa, in the same process and with its own transformers.
"""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.meter import Work, add_limits, in_rounds, limit

Inputs = dict[str, torch.Tensor]
Read = Callable[[Inputs], Work]


def load(folder: str, attn: str) -> Any:
    """The checkpoint under one attention implementation, as transformers of this environment loads it."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    return Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, attn_implementation=attn, dtype="float32").eval()


def taken(model: Any, inputs: Inputs) -> Inputs:
    """The inputs that this version's forward knows: some name the modality of tokens, others find it themselves."""
    known = inspect.signature(type(model).forward).parameters
    return {name: value for name, value in inputs.items() if name in known}


def plain(model: Any) -> Read:
    """One prefill."""
    return lambda inputs: lambda: model(**taken(model, inputs), logits_to_keep=1)


def transformer_lens(folder: str) -> Read:
    """TransformerLens: its bridge around the model, with the patterns of all layers cached."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(folder, hf_model=load(folder, "eager"), device="cpu")

    def read(inputs: Inputs) -> Work:
        others = {name: value for name, value in inputs.items() if name != "input_ids"}
        return lambda: bridge.run_with_cache(
            inputs["input_ids"], names_filter=lambda name: name.endswith("attn.hook_pattern"), **others
        )[1]

    return read


def nnsight(folder: str) -> Read:
    """nnsight: a trace that saves what every layer of eager attention returns."""
    from nnsight import NNsight

    model = load(folder, "eager")
    traced = NNsight(model)

    def read(inputs: Inputs) -> Work:
        def trace() -> list[torch.Tensor]:
            maps = []
            with traced.trace(**taken(model, inputs), logits_to_keep=1):
                for layer in traced.model.language_model.layers:
                    maps.append(layer.self_attn.output[1].save())
            return maps

        return trace

    return read


def attnread(folder: str) -> Read:
    """AttnRead: maps of all heads recovered under sdpa, one forward for each head-width of keys."""
    from attnread import extract_attention

    model = load(folder, "sdpa").requires_grad_(False)
    return lambda inputs: lambda: extract_attention(model, taken(model, inputs))


def vlmprobe(folder: str) -> Read:
    """vlmprobe: entropy, concentration and mass on modalities of every query, from eager maps."""
    from vlmprobe import Prober

    model = load(folder, "eager")
    probe = Prober(model)
    return lambda inputs: lambda: probe.attention.profile().run(taken(model, inputs))


PEERS: Mapping[str, Callable[[str], Read]] = {
    "transformer-lens": transformer_lens,
    "nnsight": nnsight,
    "attnread": attnread,
    "vlmprobe": vlmprobe,
}


def layers_of(peer: str, result: Any) -> torch.Tensor:
    """What a peer read of one prompt, by layer: maps [L, H, N, N], or vlmprobe's entropies [L, H, N]."""
    if peer == "vlmprobe":
        return result.tensors["entropy"][:, 0]
    if peer == "attnread":  # one map a head, by ("text", layer, head)
        layers = max(layer for _, layer, _ in result) + 1
        heads = len(result) // layers
        return torch.stack([torch.stack([result["text", n, h][0] for h in range(heads)]) for n in range(layers)])
    return torch.cat(list(result.values()) if isinstance(result, Mapping) or hasattr(result, "values") else result)


def apart(peer: str, folder: str, inputs: Inputs, result: Any) -> float:
    """Largest difference between what a peer read and the same from the eager maps of transformers."""
    model = load(folder, "eager")
    maps = torch.cat(model(**taken(model, inputs), output_attentions=True, logits_to_keep=1).attentions)
    expected = torch.special.entr(maps).sum(-1) if peer == "vlmprobe" else maps
    own = layers_of(peer, result)
    if own.shape != expected.shape:
        raise ValueError(f"{peer} read {tuple(own.shape)}, not {tuple(expected.shape)}")
    return float((own - expected).abs().max())


def versions(peer: str) -> dict[str, str]:
    """Versions of the peer and of what it stands on."""
    found = {}
    for name in (peer, "transformers", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def inputs_of(file: Path) -> Inputs:
    """Inputs as `benchmarks.recording` wrote them."""
    inputs: Inputs = torch.load(file, weights_only=True)
    return inputs


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("model", help="folder of the checkpoint")
    parser.add_argument("inputs", type=Path, help="tensors that the forward takes")
    parser.add_argument("short", type=Path, help="those of few tokens, on which what is read is checked before")
    add_limits(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    forward, read = plain(load(args.model, "sdpa")), PEERS[args.peer](args.model)
    inputs = inputs_of(args.inputs)
    with torch.no_grad():
        short = inputs_of(args.short)
        forward(short)()
        difference = apart(args.peer, args.model, short, read(short)())
        limit(args)
        measured = in_rounds(forward(inputs), read(inputs), most=args.rounds, seconds=args.seconds)
    about = {"tokens": inputs["input_ids"].shape[1], "versions": versions(args.peer), "apart": difference}
    print(json.dumps(measured | about))


if __name__ == "__main__":
    main()
