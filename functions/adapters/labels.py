"""What devices have in common, and which of them have it: a status, a model, a group, a tag."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import Final

from functions.adapters.budget import Budget
from functions.adapters.numbers import Members, bits_of, chosen_of, numbers_in
from functions.adapters.texts import Texts
from functions.domain.query import Pattern

# To count those chosen label by label takes 6 µs a label among 100,000; device by device 1 µs a device.
_DEVICES_A_LABEL: Final = 6
# As many sets of labels that devices have together are remembered.
_MOST_TOGETHER: Final = 4096


class Label(Members):
    """The devices that have one thing of a kind."""

    __slots__ = ("alone", "kind", "name", "place")

    def __init__(self, kind: str, name: str) -> None:
        super().__init__()
        self.kind = kind
        self.name = name
        # Among the names that are searched, or none.
        self.place = -1
        # What a device is said to have that has this and nothing more.
        self.alone: tuple[Label, ...] = (self,)


class Labels:
    """The labels of devices, by kind and name; one that nobody has is forgotten.

    Args:
        kinds: the kinds there are.
        searched: those whose names a text is looked for in.
    """

    def __init__(self, kinds: Iterable[str], searched: Collection[str]) -> None:
        self._labels: dict[str, dict[str, Label]] = {kind: {} for kind in kinds}
        self._searched = searched
        # What devices have in common they mostly have together: looked up once, and its memory taken once.
        self._together: dict[tuple[tuple[str, str], ...], tuple[Label, ...]] = {}
        self._texts = Texts()
        # By the number that the name has among the texts.
        self._numbered: list[Label | None] = []
        self._free: list[int] = []

    def take(self, number: int, wanted: tuple[tuple[str, str], ...]) -> tuple[Label, ...]:
        """Give a device labels, each once; they are wanted back when it gives them up."""
        taken = self._together.get(wanted)
        if taken is None:
            taken = tuple([self._labels[kind].get(name) or self._label(kind, name) for kind, name in wanted])
            if len(self._together) == _MOST_TOGETHER:
                self._together.clear()
            self._together[wanted] = taken
        for label in taken:
            label.add(number)
        return taken

    def take_one(self, number: int, kind: str, name: str) -> tuple[Label, ...]:
        """Give a device one label."""
        label = self._labels[kind].get(name) or self._label(kind, name)
        label.add(number)
        return label.alone

    def give_up(self, number: int, labels: Iterable[Label]) -> None:
        """Take labels from a device that has them."""
        for label in labels:
            label.discard(number)
            if not label:
                self._forget(label)

    def bits(self, kind: str, name: str) -> int:
        """As bits, those who have a label."""
        label = self._labels[kind].get(name)
        return 0 if label is None else label.bits

    def matching(self, kind: str, pattern: Pattern, budget: Budget) -> int:
        """As bits, those who have a label of a kind whose name is so."""
        if pattern.is_exact:
            return self.bits(kind, pattern.pieces[0])
        parts = budget.steps(list(self._labels[kind]))
        return self.any_of(kind, (name for part in parts for name in part if name and pattern.matches(name)))

    def any_of(self, kind: str, names: Iterable[str]) -> int:
        """As bits, those who have one of the labels of these names, which are known.

        Those of small labels are joined as numbers: the bits of one are as
        many as there are devices, and there may be as many labels.
        """
        bits = 0
        few: list[int] = []
        for name in names:
            label = self._labels[kind][name]
            if label.few is None:
                bits |= label.bits
            else:
                few += label.few
        return bits | bits_of(few)

    def holding(self, pattern: Pattern, among: int, budget: Budget) -> int:
        """As bits, those of some who have a label whose name holds a pattern, letters in either case."""
        found = 0
        for part in budget.steps(numbers_in(self._texts.find(pattern, -1, budget))):
            for place in part:
                label = self._numbered[place]
                if label is not None:
                    found |= label.bits
        return found & among

    def names(self, kind: str) -> Iterable[str]:
        """The names of the labels of a kind."""
        return self._labels[kind]

    def sizes(self, kind: str, chosen: int, held: Sequence[tuple[Label, ...]] = ()) -> dict[str, int]:
        """How many of those chosen have each label of a kind; what nobody has is left out.

        ``held`` has the labels of each device, where it is less to count by those.
        """
        labels = self._labels[kind]
        if held and chosen.bit_count() <= _DEVICES_A_LABEL * len(labels):
            return dict(Counter(one.name for n in numbers_in(chosen) for one in held[n] if one.kind == kind))
        sizes = {name: self._size(label, chosen) for name, label in labels.items()}
        return {name: size for name, size in sizes.items() if size}

    def _size(self, label: Label, chosen: int) -> int:
        few = label.few
        return (label.bits & chosen).bit_count() if few is None else len(chosen_of(few, chosen))

    def _label(self, kind: str, name: str) -> Label:
        labels = self._labels[kind]
        label = labels.get(name)
        if label is None:
            label = labels[name] = Label(kind, name)
            if kind in self._searched:
                self._number(label)
        return label

    def _number(self, label: Label) -> None:
        if not self._free:
            self._free.append(len(self._numbered))
            self._numbered.append(None)
        label.place = self._free.pop()
        self._numbered[label.place] = label
        self._texts.put(label.place, (label.name,))

    def _forget(self, label: Label) -> None:
        del self._labels[label.kind][label.name]
        self._together.clear()
        if label.place >= 0:
            self._texts.put(label.place, ())
            self._numbered[label.place] = None
            self._free.append(label.place)


class Ranking:
    """Devices in the order of labels of one kind, of which there are few and each device has one.

    Args:
        labels: of all kinds.
        held: by number, the label that a device has.
    """

    def __init__(self, labels: Labels, kind: str, held: Sequence[tuple[Label, ...]]) -> None:
        self._labels = labels
        self._kind = kind
        self._held = held

    def value(self, number: int) -> str:
        """The name of a device's label."""
        return self._held[number][0].name

    def runs(self, chosen: int, *, descending: bool) -> Iterator[tuple[int, None]]:
        """Those chosen, as bits, label by label; see ``functions.adapters.orders.Runs``."""
        for name in sorted(self._labels.names(self._kind), reverse=descending):
            if run := chosen & self._labels.bits(self._kind, name):
                yield run, None


def most_common(sizes: Mapping[str, int], most: int | None) -> dict[str, int]:
    """The largest counts, the largest first; all of them by name where no number is given."""
    if most is None:
        return dict(sorted(sizes.items()))
    return dict(nsmallest(most, sizes.items(), key=lambda item: (-item[1], item[0])))
