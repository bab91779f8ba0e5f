"""What is not a test is not collected: programs that tests start as processes of their own."""

collect_ignore = ["unit/training/small.py", "unit/training/two_devices.py"]
