"""The screen: a Textual application that reads run directories and nothing else."""
