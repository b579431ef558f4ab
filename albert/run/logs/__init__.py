"""The logs of a run in its folder: train.log and the event files of TensorBoard."""
