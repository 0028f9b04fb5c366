"""Training as section 5 describes it: step, epoch, schedule, checkpoints, and where it runs."""
