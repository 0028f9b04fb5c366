"""What every other room stands on: errors, paths, files, locks, value objects, devices."""
