"""Steps as CUDA graphs: launches that take longer to ask for than to do, asked for at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

__all__ = ["capture"]


def capture(
    step: Callable[[], None], state: Sequence[torch.Tensor], pool: tuple[int, int] | None = None
) -> Callable[[], None]:
    """What replays a step; in main memory the step itself. It is run once before, for what is compiled or allocated at
    first use, and undone: state is all that it changes and that lasts. pool: of `memory.pool`, where steps that are never
    replayed at once have what they leave nobody."""
    device = state[0].device
    if device.type != "cuda":
        return step
    kept = [t.clone() for t in state]
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        step()
    stream.synchronize()  # so that what a kernel did wrong is found here
    for t, old in zip(state, kept):
        t.copy_(old)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        step()
    return graph.replay
