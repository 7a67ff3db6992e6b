"""What a training leaves behind, epoch by epoch, and the error of one that came apart."""

from __future__ import annotations

from typing import Any


class DivergenceError(RuntimeError):
    """A loss or a weight became NaN or infinite. Carries the `history` of the epochs before."""

    history: History


class History:
    """What happened, one record an epoch.

    `records` is a list of {"epoch", "rate", "seconds", "train": {term: value}, "validation":
    {term: value}}. `history["loss"]` is one list over the epochs; any term may be given by an
    unambiguous beginning of its name, and `history["loss", "validation"]` asks for the other rows.

    For a stack each value is a list with one number a member; `history.member(i)` is the history of member i,
    what it would have had alone, and on to the last epoch of all where it would have stopped early.
    `diverged` is {member: what happened}; from that epoch on its weights were held, and its training values are NaN.
    Of a member that `EarlyStopping` entered after an epoch, that is so from the next epoch on.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.diverged: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: str | tuple[str, str]) -> list[Any]:
        if isinstance(key, tuple) and len(key) != 2:
            raise TypeError(
                f'a history is asked by name, history["loss"], or history["loss", "validation"]; got {key!r}'
            )
        name, part = key if isinstance(key, tuple) else (key, "train")
        full = self.full_name(name, part)
        return [record[part][full] for record in self.records]

    def full_name(self, name: str, part: str = "train") -> str:
        """The name of the value that begins like this; KeyError where there is none, or several."""
        if part not in ("train", "validation"):
            raise KeyError(f"a history has the parts 'train' and 'validation', not {part!r}")
        if not isinstance(name, str):
            raise TypeError(f'a history is asked by name, history["loss"]; of an epoch .records[0], got {name!r}')
        known = list(self.records[0].get(part, {})) if self.records else []
        found = [n for n in known if n == name] or [n for n in known if n.startswith(name)]
        if len(found) != 1:
            problem = "is not in" if not found else "fits several of"
            raise KeyError(f"{name!r} {problem} the {part} values: {', '.join(known) or 'none'}")
        return found[0]

    def member(self, i: int) -> History:
        """The history of one member of a stack, to the last epoch of all; its weights may be of an earlier one."""
        if self.records:
            loss = self.records[0]["train"]["loss"]
            members = len(loss) if isinstance(loss, list) else 1
            if not -members <= i < members:
                raise IndexError(f"the history is of the members 0 … {members - 1}, got {i}")
            i %= members
        own = History()
        for record in self.records:
            parts: dict[str, Any] = {
                part: {name: v[i] if isinstance(v, list) else v for name, v in record[part].items()}
                for part in ("train", "validation")
                if part in record
            }
            own.records.append({**record, **parts})
        own.diverged = {0: self.diverged[i]} if i in self.diverged else {}
        return own

    def __repr__(self) -> str:
        if not self.records:
            return "History(0 epochs)"
        last = self.records[-1]["train"]["loss"]
        shown = f"{last:.4g}" if isinstance(last, float) else f"{len(last)} members, the first {last[0]:.4g}"
        return f"History({len(self)} epochs, training loss {shown})"
