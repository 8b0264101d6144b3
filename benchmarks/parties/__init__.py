"""What is measured, each in a process of its own. The competitors run in an environment without zsre."""
