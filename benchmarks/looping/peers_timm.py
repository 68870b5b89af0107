"""timm's pieces in the order of its training script: optimizer, schedule by update, collate and prefetcher."""

from collections.abc import Iterable, Iterator
from typing import Any

from looping.kit import Kit


def loop(kit: Kit, resident: bool) -> Iterator[None]:
    import torch
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2

    options, model = kit.job.recipe.optimizer.options(), kit.model
    optimizer = create_optimizer_v2(
        model, opt="momentum", lr=options["lr"], momentum=options["momentum"], weight_decay=options["weight_decay"]
    )
    batches: Iterable[Any] = kit.resident() if resident else loader(kit)
    schedule, _ = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=kit.job.epochs, step_on_epochs=False, updates_per_epoch=kit.job.steps_per_epoch
    )
    criterion, updates = torch.nn.CrossEntropyLoss(), 0
    while True:
        right = torch.zeros((), dtype=torch.int64, device=kit.job.device)
        for x, y in batches:
            logits = model(x)
            loss = criterion(logits, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            updates += 1
            schedule.step_update(num_updates=updates)
            right += (logits.argmax(1) == y).sum()
            yield


def loader(kit: Kit) -> Any:
    """Bytes through fast_collate and PrefetchLoader, which standardises them."""
    import torch
    from timm.data.loader import PrefetchLoader, fast_collate
    from torch.utils.data import DataLoader

    feed = kit.job.train
    pixels, labels = feed.pixels.cpu().numpy(), feed.labels.tolist()

    class Bytes(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, place: int) -> Any:
            return pixels[place], labels[place]

    plain = DataLoader(Bytes(), kit.job.recipe.train.batch_size, shuffle=True, drop_last=True, collate_fn=fast_collate)
    mean, std = (tuple((part * (1 / (255 * feed.scale))).flatten().tolist()) for part in (feed.mean, feed.std))
    return PrefetchLoader(plain, mean, std, channels=len(mean), device=kit.job.device)
