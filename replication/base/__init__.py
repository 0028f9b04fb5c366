"""What every other room uses: errors, paths, files, locks, value objects, devices."""
