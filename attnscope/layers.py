"""Choosing layers: by number ("0-9,20") or by depth ("0.36-0.71")."""

from __future__ import annotations

from collections.abc import Sequence

from attnscope.errors import RequestError


def select_layers(spec: str | Sequence[int] | None, available: Sequence[int], total: int) -> list[int]:
    """Resolve a choice of layers.

    Args:
        spec: None for all; numbers; or text: comma-separated numbers and inclusive ranges ("0-9,20"), or ranges of
            depth with a decimal point ("0.36-0.71": layers round(0.36 * total) up to, not including, round(0.71 *
            total); those without attention are left out).
        available: Layer numbers that can be chosen.
        total: Number of layers of the model, the denominator of depth.

    Returns:
        Chosen layer numbers, increasing.

    Raises:
        RequestError: If the text is not a choice of layers, or a layer does not exist.
    """
    if spec is None:
        return sorted(available)
    wanted = _parse(spec, available, total) if isinstance(spec, str) else {int(n) for n in spec}
    missing = sorted(wanted - set(available))
    if missing:
        known = f"{min(available)}-{max(available)}"
        raise RequestError.of("layers", spec, f"layer {missing[0]} is not one of the layers with attention, {known}")
    if not wanted:
        raise RequestError.of("layers", spec, f"chooses no layer of {total}")
    return sorted(wanted)


def check_layers(spec: str) -> None:
    """Refuse what cannot be a choice of layers of any model.

    Raises:
        RequestError: If the text is not a choice of layers.
    """
    _parse(spec, range(1000), 1000)


def _parse(spec: str, available: Sequence[int], total: int) -> set[int]:
    wanted: set[int] = set()
    for part in spec.split(","):
        ends = part.strip().split("-")
        try:
            if "." in part:
                low, high = (float(end) for end in ends)
                if not 0 <= low < high <= 1:
                    raise ValueError
                wanted.update(set(range(round(low * total), round(high * total))) & set(available))
            else:
                numbers = [int(end) for end in ends]
                if len(numbers) > 2 or numbers[0] > numbers[-1]:
                    raise ValueError
                # one layer beyond the last that there is says what is wrong; the others need not be counted
                wanted.update(range(numbers[0], min(numbers[-1], max(numbers[0], total)) + 1))
        except ValueError:
            why = f'"{part.strip()}" is neither numbers like 0-9,20 nor a range of depth like 0.36-0.71'
            raise RequestError.of("layers", spec, why) from None
    return wanted
