"""What batchpost does under load, measured: ``python -m bench --help``. Everything sends to this machine only."""
