"""A training loop of your own, watched: `python examples/plain_loop.py [EPOCHS]`, and `cockpit attach` in another terminal."""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn

from cockpit import watch

EPOCHS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
BATCH = 32


def main() -> None:
    """Train."""
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8 - 1
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(images))
    train, val = order[:1500], order[1500:]

    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.2), nn.Linear(16 * 16, 10)),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    steps = -(-len(train) // BATCH)

    with watch(
        model,
        optimizer,
        name="plain_loop",
        criterion=criterion,
        epochs=EPOCHS,
        steps_per_epoch=steps,
        probe=(images[train[:512]], labels[train[:512]]),  # what the network is measured on
    ) as run:
        for epoch in range(EPOCHS):
            model.train()
            for batch in train[torch.randperm(len(train))].split(BATCH):
                x, y = images[batch], labels[batch]
                optimizer.zero_grad()
                logits = model(x)
                loss = criterion(logits, y)
                loss.backward()
                optimizer.step()
                if not run.step(loss, logits, y):  # `cockpit stop` asks the loop to end
                    return
            model.eval()
            with torch.no_grad():
                logits = model(images[val])
            run.evaluate(logits, labels[val])
            print(f"epoch {epoch + 1}: validation accuracy {(logits.argmax(1) == labels[val]).float().mean():.1%}")


if __name__ == "__main__":
    main()
