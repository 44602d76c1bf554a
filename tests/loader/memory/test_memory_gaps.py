"""Where mmap puts a mapping: the highest free range, whatever was mapped and unmapped before, and found without a walk past all mappings."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from uselib.loader.memory.address_space import MMAP_MIN, PAGE, AddressSpace
from uselib.loader.memory.layout import STACK_GUARD_GAP

STEP = st.one_of(
    st.tuples(st.just("map"), st.integers(1, 6), st.integers(0, 3)),
    st.tuples(st.just("unmap"), st.integers(0, 40), st.integers(1, 9)),
    st.tuples(st.just("fixed"), st.integers(0, 40), st.integers(1, 4)),
    st.tuples(st.just("move"), st.integers(0, 40), st.integers(1, 8)),
    st.tuples(st.just("stack"), st.integers(1, 3), st.just(0)),
)


def highest(space: AddressSpace, size: int) -> int:
    """The answer by a walk over every mapping."""
    end = space.layout.mmap_base
    for vma in sorted(space, key=lambda vma: -vma.start):
        if vma.start >= space.layout.mmap_base:
            continue
        if end - size >= max(vma.end, MMAP_MIN):
            break
        end = min(end, vma.start - (STACK_GUARD_GAP if vma.grows_down else 0))
    return end - size


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEP, max_size=60))
@example(steps=[("stack", 1, 0), ("stack", 1, 0), ("fixed", 0, 1), ("map", 1, 0)])
def test_the_highest_free_range_is_taken(steps: list[tuple[str, int, int]]) -> None:
    space = AddressSpace(64)
    top = space.layout.mmap_base
    try:
        for name, first, second in steps:
            address = top - (first + second) * PAGE
            if name == "map":
                wanted = highest(space, first * PAGE)
                assert space.map(0, first * PAGE, second) == wanted
            elif name == "stack":
                wanted = highest(space, first * PAGE)
                assert space.map(0, first * PAGE, 3, grows_down=True) == wanted
            elif name == "unmap":
                space.unmap(address, second * PAGE)
            elif name == "fixed":
                space.map(address, second * PAGE, second % 4, placement="fixed")
            else:
                vma = space.find(address)
                if vma is not None:
                    space.remap(vma.start, vma.size, vma.size + second * PAGE, may_move=True)
    finally:
        space.release()


def test_a_search_does_not_walk_past_what_is_known() -> None:
    space = AddressSpace(64)
    count, real = 0, space.vmas.last_below

    def counted(address: int) -> object:
        nonlocal count
        count += 1
        return real(address)

    space.vmas.last_below = counted  # type: ignore[assignment]
    for number in range(3000):
        space.map(0, PAGE, 1 + 2 * (number % 2))
    assert count < 10 * 3000
    space.release()
