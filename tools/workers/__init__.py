"""Running tasks in processes of this machine or on Spark."""
