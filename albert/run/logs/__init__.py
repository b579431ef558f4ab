"""What a run says, kept in its folder: train.log and the event files of TensorBoard."""
