"""Pure view logic: a run's history and recipe folded into small frozen objects that panes draw. Tested without a screen."""
