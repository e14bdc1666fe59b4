"""What the operating system tells a process."""
