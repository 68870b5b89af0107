"""Images a second: the ways to feed a training, each with the same augmentation."""
