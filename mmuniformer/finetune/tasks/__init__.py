"""One module a task, imported when it is asked for; each names its class ``TASK``."""
